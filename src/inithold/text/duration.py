"""Durations: `250ms`, `5s`, `2m`, `1h`, and sums such as `1m30s`, as in Compose."""

from __future__ import annotations

TYPE_CHECKING = False
"""`typing` is slow to import, and the fast commands use this module."""
if TYPE_CHECKING:
    from typing import Any, Self

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DIGITS = "0123456789"

EXPECTED = "a duration such as 250ms, 5s, 2m or 1h"


class Duration(float):
    """A number of seconds that is parsed and printed as `1m30s`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `250ms`, `5s`, `2m`, `1h` or `1m30s`; raises a `ValueError` that says what is expected."""
        seconds, rest = 0.0, text
        # Without `re`, which takes as long to import as a whole fast command.
        while True:
            after_number = rest.lstrip(_DIGITS + ".")
            number = rest[: len(rest) - len(after_number)]
            rest = after_number.lstrip("".join(_UNITS))
            unit = after_number[: len(after_number) - len(rest)]
            whole, dot, fraction = number.partition(".")
            is_number = whole and bool(dot) == bool(fraction) and "." not in fraction
            if is_number and not after_number:
                raise ValueError(f"expected a duration with a unit, such as {number}s")
            if not is_number or unit not in _UNITS:
                raise ValueError(f"expected {EXPECTED}")
            seconds += float(number) * _UNITS[unit]
            if not rest:
                return cls(seconds)

    @classmethod
    def of(cls, value: str | float) -> Self:
        """A duration from a str or from seconds; raises a `ValueError` that says what is expected."""
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, bool) or not value >= 0:
            raise ValueError(f"expected {EXPECTED}")
        return cls(value)

    def __str__(self) -> str:
        return short(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.parse({str(self)!r})"


if TYPE_CHECKING:

    class DurationField:
        """A field that accepts a str or seconds, and stores a `Duration`."""

        def __get__(self, instance: object, owner: Any) -> Duration: ...
        def __set__(self, instance: object, value: str | float) -> None: ...
else:
    DurationField = Duration


def settle(struct: Any, **fields: type[Duration]) -> None:
    """Convert a struct's duration fields to their types, in its `__post_init__`.

    Args:
        struct: a frozen msgspec struct.
        fields: its duration fields and their types; None values stay None.

    Raises:
        ValueError: a value is not a duration; the message names the field.
    """
    for name, kind in fields.items():
        value = getattr(struct, name)
        if value is None or type(value) is kind:
            continue
        from inithold.text.frozen import set_field  # noqa: PLC0415 - the fast commands do not need it

        try:
            set_field(struct, name, kind.of(value))
        except (TypeError, ValueError):
            raise ValueError(f"{name}: expected {EXPECTED}") from None


def default(seconds: float) -> Any:
    """A field whose default is a duration.

    It uses a factory, because msgspec cannot put a default of a custom type into a JSON Schema.
    """
    import msgspec  # noqa: PLC0415 - the fast commands do not need it

    return msgspec.field(default_factory=lambda: Duration(seconds))


def short(seconds: float) -> str:
    """Format a duration for a plan or a message: `250ms`, `5s`, `1m30s`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def spoken(seconds: float) -> str:
    """Format a measured time for people, with sensible precision: `4 ms`, `1.24 s`, `2m05s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"
