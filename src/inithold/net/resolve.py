"""Asks the resolver, for no longer than there is time."""

from __future__ import annotations

import socket
import time
from _thread import allocate_lock, start_new_thread  # `threading` is slow to import

TYPE_CHECKING = False
"""As in `typing`, which is slow to import."""
if TYPE_CHECKING:
    from typing import Any

    AddressInfo = tuple[Any, Any, int, str, Any]


class NoAnswer(OSError):
    """The resolver takes longer than there is time."""


def resolve(host: str | bytes, port: int, ends_at: float) -> list[AddressInfo]:
    """The addresses of a name, as `socket.getaddrinfo` gives them.

    Args:
        host: the name.
        port: that goes with it.
        ends_at: when the time is up, by the monotonic clock.

    Raises:
        NoAnswer: the resolver has not answered until then.
        OSError, ValueError: as `socket.getaddrinfo` raises them.
    """
    with _lock:
        # A resolver that does not answer is not asked again by every probe meanwhile.
        lookup = _pending.get((host, port))
        if lookup is None:
            lookup = _pending[host, port] = _Lookup(host, port)
    if not lookup.running.acquire(timeout=max(ends_at - time.monotonic(), 0.01)):
        raise NoAnswer
    lookup.running.release()
    if lookup.error is not None:
        raise lookup.error
    return lookup.result


class _Lookup:
    """One question, asked in a thread: the C library waits for as long as resolv.conf says, 10 s and more."""

    def __init__(self, host: str | bytes, port: int) -> None:
        self._key = host, port
        self.result: list[AddressInfo] = []
        self.error: Exception | None = None
        self.running = allocate_lock()
        self.running.acquire()
        start_new_thread(self._ask, ())

    def _ask(self) -> None:
        try:
            self.result = socket.getaddrinfo(*self._key, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            self.error = error
        with _lock:
            del _pending[self._key]
        self.running.release()


_lock = allocate_lock()
_pending: dict[tuple[str | bytes, int], _Lookup] = {}
