"""The end of a message about an unknown name: the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 30
"""Known names that are listed where none is near."""


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """A question with the nearest known name; empty where none is near.

    Args:
        name: the unknown one.
        known: those there are.
        likeness: from 0 to 1, how much alike they must be.
    """
    import difflib  # noqa: PLC0415 - only where something is wrong

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"; did you mean {close[0]!r}?" if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A question with the nearest known name, or the list of a few; see `did_you_mean`."""
    names = list(known)
    listed = f"; known are {', '.join(names)}" if 0 < len(names) <= _MOST else ""
    return did_you_mean(name, names) or listed
