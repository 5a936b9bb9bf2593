"""One JSON object a line, for log collectors."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from inithold.runner.events import Event, FromUserCode, Level, LogLine, PhaseChanged, StepFinished
from inithold.watchers.console.plain import LEVELS

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class JsonLines:
    """Writes every event as an object with `time`, `level`, `event` and the event's own fields.

    Args:
        stream: where to; standard error if None.
        level: the least that is shown.
    """

    def __init__(self, stream: TextIO | None = None, level: Level = "info") -> None:
        self._stream = stream or sys.stderr
        self._least = LEVELS[level]

    def see(self, event: Event) -> None:
        level = _level(event)
        if LEVELS[level] < self._least or isinstance(event, FromUserCode):
            return
        fields = msgspec.to_builtins(event)
        del fields["type"]
        at = datetime.fromtimestamp(fields.pop("at"), UTC).isoformat(timespec="milliseconds")
        line = {"time": at, "level": level, "event": _WORD.sub("_", type(event).__name__).lower(), **fields}
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
