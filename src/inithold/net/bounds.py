"""What bounds a wait: the part of a step's context that connections and child processes need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Bounds(Protocol):
    """How long something may take, and whether it has been told to stop."""

    def remaining(self, most: float) -> float:
        """Seconds until the time is up, at most `most`."""

    def check_cancelled(self) -> None:
        """Raise `Interrupted` if told to stop."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        """While the returned context is open, being told to stop calls `action`, from another thread."""
