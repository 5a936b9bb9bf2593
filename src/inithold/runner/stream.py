"""The stream of events, which every watcher reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from threading import RLock
from typing import Protocol

from inithold.runner.events import Event, Span


class Watcher(Protocol):
    """Reads the stream; never influences the run."""

    def see(self, event: Event) -> None:
        """Handle an event. Called from any thread, but never concurrently."""

    def close(self) -> None:
        """Finish: the stream is over, or this process is about to exec the holder."""
        return  # most have nothing to finish


class Tracing(Protocol):
    """Makes user code's spans children of a step's span."""

    def scope(self, span: Span) -> AbstractContextManager[object]:
        """Within the `with` block, spans that this thread starts are children of `span`."""


class Stream:
    """Passes each event to every watcher, in order, scrubbed of secrets."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)
        # Reentrant, because a watcher may emit a warning while it handles an event.
        self._lock = RLock()

    def emit(self, event: Event) -> None:
        """Publish an event; returns when every watcher has seen it."""
        event = event.scrubbed()
        with self._lock:
            for watcher in self._watchers:
                watcher.see(event)

    def close(self) -> None:
        """Close every watcher."""
        with self._lock:
            for watcher in self._watchers:
                watcher.close()
