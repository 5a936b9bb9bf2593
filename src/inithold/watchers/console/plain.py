"""One line an event, for pipes and container logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from inithold.runner.events import (
    Event,
    HoldStarted,
    Level,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    RunStarted,
    StepChecked,
    StepFinished,
    StepWaiting,
)
from inithold.steps.base import Change
from inithold.text.duration import spoken
from inithold.text.log_line import log_line

LF = "\n"
LEVELS: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class PlainLog:
    """Writes lines `TIME STEP TEXT`.

    Args:
        stream: where to; standard error if None.
        level: the least that is shown.
        width: of the column of ids, until a run tells its own.
    """

    def __init__(self, stream: TextIO | None = None, level: Level = "info", width: int = 4) -> None:
        self._stream = stream or sys.stderr
        self._least = LEVELS[level]
        self._width = width
        self._listed: dict[str, tuple[Change, ...]] = {}
        self._writers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            LockWaiting: self._lock_waiting,
            LockAcquired: self._lock_acquired,
            StepWaiting: self._step_waiting,
            StepChecked: self._step_checked,
            LogLine: self._log_line,
            StepFinished: self._step_finished,
            MarkerPublished: self._marker_published,
            HoldStarted: self._hold_started,
        }

    def see(self, event: Event) -> None:
        write = self._writers.get(type(event))
        if write is not None:
            write(event)

    def close(self) -> None:
        self._stream.flush()

    def _write(self, at: float, step: str | None, text: str, level: Level = "info") -> None:
        if LEVELS[level] < self._least:
            return
        mark = "" if level in ("debug", "info") else f"{level}: "
        self._stream.write(log_line(at, step, f"{mark}{text}", self._width))
        self._stream.flush()

    def _run_started(self, event: RunStarted) -> None:
        self._listed.clear()
        self._width = min(24, max(4, *(len(info.id) for info in event.steps)))
        count = len(event.steps)
        name = f"{event.name}, {event.repair}" if event.repair else event.name
        again = f", again: {event.reason}" if event.reason else ""
        self._write(event.at, None, f"{name}: {count} step{'s' if count != 1 else ''}{again}")

    def _lock_waiting(self, event: LockWaiting) -> None:
        since = f" for {spoken(event.elapsed)}" if event.elapsed >= 1 else ""
        self._write(event.at, None, f"waiting for the lock{since}: {event.reason}")

    def _lock_acquired(self, event: LockAcquired) -> None:
        self._write(event.at, None, f"got the lock after {spoken(event.waited)}")

    def _step_waiting(self, event: StepWaiting) -> None:
        since = f" for {spoken(event.elapsed)}" if event.elapsed >= 1 else ""
        hint = f" ({event.hint})" if event.hint else ""
        self._write(event.at, event.step, f"waiting{since}: {event.reason.split(LF)[0]}{hint}")

    def _step_checked(self, event: StepChecked) -> None:
        # A step that is tried again, and the more a gate, is checked until it is in place.
        if self._listed.get(event.step) == event.changes:
            return
        self._listed[event.step] = event.changes
        for change in event.changes:
            self._write(event.at, event.step, str(change))
            for line in change.details:
                self._write(event.at, event.step, f"    {line}")

    def _log_line(self, event: LogLine) -> None:
        self._write(event.at, event.step, f"| {event.text}" if event.step else event.text, event.level)

    def _step_finished(self, event: StepFinished) -> None:
        attempts = f", attempt {event.attempts}" if event.attempts > 1 else ""
        took = f" in {spoken(event.timing.total)}{attempts}" if event.attempts else ""
        # In full, with what to do next, at the end of the run.
        why = f": {event.reason.split(LF)[0]}" if event.reason else ""
        level: Level = "warning" if event.tolerated else "error" if event.outcome == "failed" else "info"
        self._write(event.at, event.step, f"{event.outcome}{took}{why}", level)

    def _marker_published(self, event: MarkerPublished) -> None:
        self._write(event.at, None, f"ready; marker {event.path}")

    def _hold_started(self, event: HoldStarted) -> None:
        self._write(event.at, None, str(event))
