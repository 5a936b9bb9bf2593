"""When the garbage collector looks for cycles: less often than Python's own numbers have it.

Importing packages and reading a plan make hundreds of thousands of objects that stay. The collector looks through
them again and again, and finds nothing: a twentieth of all that a start costs, and more the larger the plan is.
"""

from __future__ import annotations

import gc
from threading import Lock
from types import TracebackType

THRESHOLD = 50_000
"""How many new objects it waits for in a process of our own; Python's own number is 700 or 2,000."""


def calm_collector() -> None:
    """Have it look less often; for a process that is ours alone."""
    gc.set_threshold(THRESHOLD, *gc.get_threshold()[1:])


class _Paused:
    """A context in which nothing is collected; any number of threads may be in it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._was_on = True

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._was_on:
                gc.enable()


PAUSED = _Paused()
"""For work that makes very many objects which stay, and takes no longer than making them."""
