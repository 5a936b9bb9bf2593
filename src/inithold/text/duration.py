"""Durations as people write them: `250ms`, `5s`, `2m`, `1h`, and sums such as `1m30s`, as Compose reads them."""

from __future__ import annotations

import re
from typing import Self

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")

EXPECTED = "a duration such as 250ms, 5s, 2m or 1h"


class Duration(float):
    """A length of time in seconds that reads and prints as people write it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a duration.

        Args:
            text: for example `250ms`, `5s`, `2m`, `1h` or `1m30s`.

        Raises:
            ValueError: `text` is anything else; the message says what is expected.
        """
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"expected {EXPECTED}")
        return cls(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))

    def __str__(self) -> str:
        return short(self)

    def __repr__(self) -> str:
        return f"Duration.parse({short(self)!r})"


def default(seconds: float) -> Duration:
    """A duration as the default of a field.

    It is made anew each time, because msgspec cannot write a default of a type of our own into a JSON Schema.
    """
    import msgspec  # noqa: PLC0415 - the quick commands use this module without it

    return msgspec.field(default_factory=lambda: Duration(seconds))


def short(seconds: float) -> str:
    """Write a duration for a plan or a message: `250ms`, `5s`, `1m30s`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def spoken(seconds: float) -> str:
    """Write a measured time for people, with the precision they can use: `4 ms`, `1.24 s`, `2m05s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"
