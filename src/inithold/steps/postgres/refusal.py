"""Finds out why PostgreSQL refused a connection.

psycopg reports a refusal in the server's language and without its SQLSTATE, which is the only reliable reason. So
after a refusal, this module lets libpq connect again, with the SQLSTATE in its message.
"""

from __future__ import annotations

import ctypes
import re
import select
import sys
import time
from collections.abc import Mapping
from ctypes.util import find_library
from typing import NamedTuple

from psycopg import pq
from psycopg.conninfo import make_conninfo

_VERBOSE = 2
"""https://www.postgresql.org/docs/current/libpq-control.html#LIBPQ-PQSETERRORVERBOSITY"""
_ERROR = re.compile(r":  ([0-9A-Z]{5}): (.*)")


class Refusal(NamedTuple):
    """The server's SQLSTATE, and its message in its language."""

    sqlstate: str
    message: str


HEALED = Refusal("00000", "")


def ask(options: Mapping[str, str], seconds: float) -> Refusal | None:
    """Try to connect again to learn why the server refuses.

    Args:
        options: as libpq used them.
        seconds: time limit.

    Returns:
        The reason; `HEALED` if the login works by now; None if unknown, such as that the server is gone.
    """
    # psycopg has no function for the verbosity. Its compiled module is linked to libpq, the other looks for it.
    module = sys.modules[pq.PGconn.__module__].__file__ or ""
    library = find_library("pq") if module.endswith(".py") else module
    if library is None:
        return None
    until = time.monotonic() + seconds
    handle = pq.PGconn.connect_start(make_conninfo("", **options).encode())
    try:
        pointer = handle.pgconn_ptr  # type: ignore[attr-defined]  # missing in psycopg's protocol class
        ctypes.CDLL(library).PQsetErrorVerbosity(ctypes.c_void_p(pointer), _VERBOSE)
        events = {pq.PollingStatus.READING: select.POLLIN, pq.PollingStatus.WRITING: select.POLLOUT}
        while (event := events.get(pq.PollingStatus(handle.connect_poll()))) is not None:
            poller = select.poll()
            poller.register(handle.socket, event)
            if not poller.poll(max(0.0, until - time.monotonic()) * 1000):
                return None
        if handle.status == pq.ConnStatus.OK:
            return HEALED
        refusals = [Refusal(*found) for found in _ERROR.findall(handle.error_message.decode(errors="replace"))]
    finally:
        handle.finish()
    # pg_hba.conf may refuse the user only with TLS, or only without; libpq may have tried both.
    return next(
        (refusal for refusal in refusals if refusal.sqlstate != "28000"), refusals[-1] if refusals else None
    )
