"""Connections that one check leaves to the next, because logging in costs more than most checks."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

IDLE = 1.0
"""Seconds that a connection may wait for the next check."""


class Closeable(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close the connection; raises nothing."""


class SharedConnections:
    """The idle connections of a run.

    Settings of a role or database apply to later logins only, so no connection is kept across a change: `changing`
    closes the idle ones, and those in use meanwhile are not kept. Safe from any thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: dict[Hashable, tuple[float, Closeable]] = {}
        self._changing = 0
        self.changes = 0
        """How many changes have begun: a connection older than the last one is not kept."""
        self._closed = False

    def take(self, key: Hashable) -> Closeable | None:
        """Return the idle connection with this key, which is then the caller's; None if there is none."""
        with self._lock:
            since, connection = self._idle.pop(key, (0.0, None))
        if connection is not None and time.monotonic() - since > IDLE:
            connection.close()
            return None
        return connection

    def keep(self, key: Hashable, connection: Closeable, changes: int) -> None:
        """Keep a connection for the next check, or close it.

        Args:
            key: what tells equal connections.
            connection: on which nothing but reads of inithold's own were done.
            changes: the value of `changes` before it was opened or taken.
        """
        with self._lock:
            if self._closed or self._changing or changes != self.changes:
                unwanted: Closeable | None = connection
            else:
                _, unwanted = self._idle.pop(key, (0.0, None))
                self._idle[key] = time.monotonic(), connection
        if unwanted is not None:
            unwanted.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Close the idle connections, and keep none within the returned context."""
        with self._lock:
            self._changing += 1
            self.changes += 1
        self.close_idle()
        try:
            yield
        finally:
            with self._lock:
                self._changing -= 1

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close the connections that have been idle for at least so many seconds."""
        until = time.monotonic() - seconds
        with self._lock:
            chosen = [key for key, (since, _) in self._idle.items() if since <= until]
            unwanted = [self._idle.pop(key)[1] for key in chosen]
        for connection in unwanted:
            connection.close()

    def close(self) -> None:
        """Close all, and keep none from now on."""
        with self._lock:
            self._closed = True
        self.close_idle()
