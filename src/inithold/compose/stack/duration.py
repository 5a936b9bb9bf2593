"""Compose's durations: `90s`, `1m30s`, `500ms` (Go's `time.ParseDuration`)."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")


def seconds(text: str | None) -> float | None:
    """Parse a duration into seconds; None if there is none or it is not known (`${VAR}`)."""
    if text == "0":
        return 0.0
    if not text or _PART.sub("", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def shown(duration: float) -> str:
    """Format a duration with one unit: `15m`, `90s`, `500ms`."""
    if duration % 1:
        return f"{round(duration * 1000)}ms"
    whole = int(duration)
    unit, size = next(
        ((unit, size) for unit, size in (("h", 3600), ("m", 60)) if whole and whole % size == 0), ("s", 1)
    )
    return f"{whole // size}{unit}"
