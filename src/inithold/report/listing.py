"""Many runs: when each was, how it ended, how long it took, what it changed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inithold.report.page import RunView, run_view
from inithold.report.reading import Run


class Entry(msgspec.Struct, frozen=True):
    """A run of the list.

    Args:
        run: it.
        width: how long it took beside the longest, percent.
    """

    run: RunView
    width: float


def listing(runs: Sequence[Run]) -> tuple[Entry, ...]:
    """The runs, newest first."""
    longest = max((run.took for run in runs), default=0.0) or 1.0
    return tuple(Entry(run_view(run, drawn=False), round(run.took / longest * 100, 3)) for run in reversed(runs))
