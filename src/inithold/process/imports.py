"""One thread at a time imports what is heavy.

Packages whose modules import each other in circles, SQLAlchemy and psycopg among them, break when two threads
begin with different modules of theirs at the same moment: Python lets one of them see a module half made.
"""

from __future__ import annotations

from threading import RLock
from types import TracebackType

from inithold.process.garbage import PAUSED


class _Importing:
    """A context that one thread at a time may be in, again and again."""

    def __init__(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()
        PAUSED.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        PAUSED.__exit__(kind, error, at)
        self._lock.release()


IMPORTING = _Importing()
"""Held while a heavy package is imported for the first time. Nothing else is done under it."""
