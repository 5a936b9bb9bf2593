"""Functions of libpq that psycopg does not wrap, or not in a way that lets other threads run.

psycopg documents `PGconn.pgconn_ptr` as the way to call such functions.

Importing this module imports psycopg.
"""

from __future__ import annotations

import ctypes
import select
import sys
from collections.abc import Callable
from functools import cache
from threading import Thread
from typing import Any

import psycopg
from psycopg import pq

_VERBOSE = 2


def say_codes(handle: pq.abc.PGconn) -> None:
    """Have libpq write the SQLSTATE into the error texts of this connection, where the function can be found."""
    library, pointer = _libpq(), _pointer(handle)
    if library is not None and pointer is not None:
        library.PQsetErrorVerbosity(pointer, _VERBOSE)


def request_cancel(handle: pq.abc.PGconn, wait: Callable[[int, int], None]) -> None:
    """Ask the server to end the statement that runs on a connection.

    Args:
        handle: the connection.
        wait: waits for events of `select.poll` on a descriptor; ends the request by what it raises.
    """
    if hasattr(handle, "cancel_conn") and pq.version() >= 170000:
        _request_over_new_connection(handle.cancel_conn(), wait)
        return
    library, pointer = _libpq(), _pointer(handle)
    if library is None or pointer is None:
        handle.get_cancel().cancel()
        return
    # The older way blocks until the server hangs up, and psycopg's wrapper of it blocks every thread with it.
    Thread(target=_cancel, args=(library, library.PQgetCancel(pointer)), daemon=True).start()


def _request_over_new_connection(request: pq.abc.PGcancelConn, wait: Callable[[int, int], None]) -> None:
    request.start()
    while (state := request.poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        wait(request.socket, select.POLLIN if state == pq.PollingStatus.READING else select.POLLOUT)


def _cancel(library: Any, request: int) -> None:
    said = ctypes.create_string_buffer(256)
    library.PQcancel(request, said, len(said))
    library.PQfreeCancel(request)


def _pointer(handle: pq.abc.PGconn) -> int | None:
    pointer: int | None = getattr(handle, "pgconn_ptr", None)
    return pointer


@cache
def _libpq() -> Any | None:
    """The very libpq that psycopg uses; None where it cannot be found."""
    try:
        if pq.__impl__ == "python":
            library = ctypes.CDLL(psycopg.pq.misc.find_libpq_full_path())
        else:
            # A symbol is looked for in the libraries that the extension module is linked to, too.
            library = ctypes.CDLL(sys.modules[pq.PGconn.__module__].__file__)
        library.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
        library.PQgetCancel.argtypes, library.PQgetCancel.restype = [ctypes.c_void_p], ctypes.c_void_p
        library.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        library.PQfreeCancel.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError, KeyError, TypeError):
        return None
    return library
