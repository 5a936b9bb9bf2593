"""The log for pipes and containers: one plain line per event, or one JSON object for log collectors."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from inithold.runner.events import (
    Event,
    FromUserCode,
    HoldStarted,
    Level,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    PhaseChanged,
    RunStarted,
    StepChecked,
    StepFinished,
    StepWaiting,
)
from inithold.steps.base import Change
from inithold.text.duration import spoken
from inithold.text.log_line import log_line

LEVELS: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class PlainLog:
    """Writes lines `TIME STEP TEXT`.

    Args:
        stream: where to write; None for standard error.
        level: the lowest level to write.
        width: width of the id column until a run starts.
    """

    def __init__(self, stream: TextIO | None = None, level: Level = "info", width: int = 4) -> None:
        self._stream = stream or sys.stderr
        self._least = LEVELS[level]
        self._width = width
        self._listed: dict[str, tuple[Change, ...]] = {}

    def see(self, event: Event) -> None:
        match event:
            case LogLine():
                self._write(event, event.step, f"| {event.text}" if event.step else event.text, event.level)
            case StepWaiting():
                hint = f" ({event.hint})" if event.hint else ""
                text = f"waiting{_since(event.elapsed)}: {_first_line(event.reason)}{hint}"
                self._write(event, event.step, text)
            # A waiting step is checked again and again; print its changes only when they differ.
            case StepChecked() if self._listed.get(event.step) != event.changes:
                self._listed[event.step] = event.changes
                for change in event.changes:
                    self._write(event, event.step, str(change))
                    for line in change.details:
                        self._write(event, event.step, f"    {line}")
            case StepFinished():
                attempts = f", attempt {event.attempts}" if event.attempts > 1 else ""
                took = f" in {spoken(event.timing.total)}{attempts}" if event.attempts else ""
                # Only the first line; the summary at the end shows all, with the hint.
                why = f": {_first_line(event.reason)}" if event.reason else ""
                self._write(event, event.step, f"{event.outcome}{took}{why}", _level(event))
            case RunStarted():
                self._listed.clear()
                self._width = min(24, max(4, *(len(info.id) for info in event.steps)))
                count = len(event.steps)
                name = f"{event.name}, {event.repair}" if event.repair else event.name
                again = f", again: {event.reason}" if event.reason else ""
                self._write(event, None, f"{name}: {count} step{'s' if count != 1 else ''}{again}")
            case LockWaiting():
                self._write(event, None, f"waiting for the lock{_since(event.elapsed)}: {event.reason}")
            case LockAcquired():
                self._write(event, None, f"got the lock after {spoken(event.waited)}")
            case MarkerPublished():
                self._write(event, None, f"ready; marker {event.path}")
            case HoldStarted():
                self._write(event, None, str(event))

    def close(self) -> None:
        self._stream.flush()

    def _write(self, event: Event, step: str | None, text: str, level: Level = "info") -> None:
        if LEVELS[level] >= self._least:
            mark = "" if level in ("debug", "info") else f"{level}: "
            self._stream.write(log_line(event.at, step, f"{mark}{text}", self._width))
            self._stream.flush()


class JsonLines:
    """Writes every event as an object with `time`, `level`, `event` and the event's own fields.

    Args:
        stream: where to write; None for standard error.
        level: the lowest level to write.
    """

    def __init__(self, stream: TextIO | None = None, level: Level = "info") -> None:
        self._stream = stream or sys.stderr
        self._least = LEVELS[level]

    def see(self, event: Event) -> None:
        level = _level(event)
        if LEVELS[level] < self._least or isinstance(event, FromUserCode):
            return
        fields = msgspec.to_builtins(event)
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", fields.pop("type")).lower()
        at = datetime.fromtimestamp(fields.pop("at"), UTC).isoformat(timespec="milliseconds")
        line = {"time": at, "level": level, "event": name, **fields}
        self._stream.write(msgspec.json.encode(line).decode() + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


def _level(event: Event) -> Level:
    if isinstance(event, LogLine):
        return event.level
    if isinstance(event, PhaseChanged):
        return "debug"
    if isinstance(event, StepFinished) and event.outcome == "failed":
        return "warning" if event.tolerated else "error"
    return "info"


def _since(elapsed: float) -> str:
    return f" for {spoken(elapsed)}" if elapsed >= 1 else ""


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
