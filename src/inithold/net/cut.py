"""A socket that can be cut under a driver that knows no other way to be interrupted."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Timer
from typing import Self

from inithold.errors import NotYet
from inithold.net.dial import dial


class Line:
    """The socket of a connection. Cutting it ends whatever waits on it, in any thread."""

    def __init__(self, connected: socket.socket, where: str) -> None:
        self.where = where
        self.connected = connected
        # PyMySQL hands the socket on to TLS; a duplicate stays ours.
        self._own = connected.dup()

    @classmethod
    def to(cls, host: str, port: int, path: str | None, seconds: float) -> Self:
        """Connect to a host and port, or to a socket file where `path` is given.

        Raises:
            NotYet: nobody listens.
        """
        if path is None:
            # Resolving and refusing are told apart here, before anything heavy is imported.
            resolved = dial(host, port, timeout=seconds)
        where = path or f"{host}:{port}"
        try:
            connected = _unix(path) if path else socket.create_connection((resolved, port), timeout=seconds)
        except OSError as error:
            raise NotYet(f"{where}: {(error.strerror or str(error)).lower()}") from error
        if path is None:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return cls(connected, where)

    def cut(self) -> None:
        """End the connection under whoever uses it."""
        with suppress(OSError):
            self._own.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give up the socket."""
        self._own.close()
        self.connected.close()

    @contextmanager
    def cut_after(self, seconds: float) -> Iterator[Event]:
        """Cut the connection where the context takes longer; the event says whether that happened."""
        late = Event()

        def cut() -> None:
            late.set()
            self.cut()

        timer = Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()


def _unix(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(5.0)
    try:
        connected.connect(path)
    except OSError:
        connected.close()
        raise
    return connected
