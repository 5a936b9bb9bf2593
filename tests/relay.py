"""A TCP relay to a real server that fails in the middle, when a certain text passes for the first time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Failure = Literal["cut", "freeze", "freeze all"]


class Relay:
    """What a relay does and has seen.

    Args:
        to: port of the server.
        marker: the bytes from the client at which it fails, once.
        failure: `cut` closes the connection; `freeze` lets nothing pass in it any more, `freeze all` in any.
    """

    def __init__(self, to: int, marker: bytes, failure: Failure) -> None:
        self._to = to
        self._marker = marker
        self._failure = failure
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.failed = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.failed.is_set() and self._failure == "freeze all":
                    return
                if from_client and self._marker in data and not self.failed.is_set():
                    self.failed.set()
                    if self._failure != "cut":
                        return
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(to: int, marker: bytes, failure: Failure) -> Iterator[Relay]:
    """A relay for as long as the context is open."""
    opened = Relay(to, marker, failure)
    try:
        yield opened
    finally:
        opened.close()
