"""The one stream of events, which every watcher reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from threading import RLock
from typing import Protocol

from inithold.runner.events import Event, Span


class Watcher(Protocol):
    """Reads the stream; never steers the run."""

    def see(self, event: Event) -> None:
        """Take note of an event; called from any thread, one at a time."""

    def close(self) -> None:
        """The stream is over, or its process image is about to be replaced."""


class Tracing(Protocol):
    """What can make user code's spans children of a step's span."""

    def scope(self, span: Span) -> AbstractContextManager[object]:
        """While open, spans that this thread starts are children of `span`."""


class Stream:
    """Hands each event to every watcher, in order, scrubbed of secrets.

    Args:
        watchers: who reads it.
    """

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)
        # A watcher that warns does so while it is told something.
        self._lock = RLock()

    def emit(self, event: Event) -> None:
        """Publish an event; returns when every watcher has seen it."""
        event = event.scrubbed()
        with self._lock:
            for watcher in self._watchers:
                watcher.see(event)

    def close(self) -> None:
        """Let every watcher finish."""
        with self._lock:
            for watcher in self._watchers:
                watcher.close()
