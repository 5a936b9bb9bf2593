"""What bounds a wait: the part of a step's context that connections and child processes need."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Event, Thread
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Bounds(Protocol):
    """How long something may take, and whether it has been told to stop."""

    def remaining(self, most: float) -> float:
        """Seconds until the time is up, at most `most`."""

    def check_cancelled(self) -> None:
        """Raise `Interrupted` if told to stop."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        """While the returned context is open, being told to stop calls `action`, from another thread."""


class TooSlow(OSError):
    """It took longer than it may."""


def within(seconds: float, bounds: Bounds, work: Callable[[], Result]) -> Result:
    """Wait for a library that cannot be interrupted; where it takes too long its thread is left behind.

    Args:
        seconds: that it may take.
        bounds: of the step.
        work: one exchange with a server, which has an end of its own.

    Returns:
        what `work` returns.

    Raises:
        Interrupted: the step was told to stop.
        TooSlow: the time is up.
        Exception: whatever `work` raises.
    """
    bounds.check_cancelled()
    results: list[Result] = []
    errors: list[BaseException] = []
    ended = Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)
        ended.set()

    Thread(target=run, daemon=True, name="inithold-exchange").start()
    with bounds.on_cancel(ended.set):
        ended.wait(seconds)
    if errors:
        raise errors[0]
    if results:
        return results[0]
    bounds.check_cancelled()
    raise TooSlow


class Until:
    """Bounds of work that nobody stops, and only time ends.

    Args:
        deadline: on the monotonic clock.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def remaining(self, most: float) -> float:
        return max(0.01, min(most, self._deadline - time.monotonic()))

    def check_cancelled(self) -> None:
        return

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:  # noqa: ARG002 - the interface
        return nullcontext()
