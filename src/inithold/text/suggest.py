"""What a message about an unknown name says of the known ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MOST = 30
"""Most known names to list if none is similar."""


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """`; did you mean 'NAME'?` with the most similar known name; empty if none is similar.

    Args:
        likeness: how similar they must be, from 0 to 1.
    """
    import difflib  # noqa: PLC0415 - only needed for errors

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"; did you mean {close[0]!r}?" if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """As `did_you_mean`; if no name is similar, a list of the known names, unless they are too many."""
    names = list(known)
    listed = f"; known are {', '.join(names)}" if 0 < len(names) <= _MOST else ""
    return did_you_mean(name, names) or listed


def expect_one_of(field: str, value: object, allowed: Sequence[str]) -> None:
    """Raise ValueError, with the field and its values, unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{field}: expected {', '.join(allowed[:-1])} or {allowed[-1]}")
