"""The living process that owns a marker: the one that holds, or the run that is still going on."""

from __future__ import annotations

import os

from inithold.marker.file import drop, refuse_foreign, running, withdrawn
from inithold.marker.identity import MOST_BYTES, parse, why_not
from inithold.text.files import read_regular


class Owner:
    """A living process named by a marker, or by the file of a run.

    Args:
        pid: its process id.
        runs: whether its run is still going on; otherwise it holds.
        withdrawn: whether it holds, but has withdrawn the marker because something is not in place.
        verifies: whether its hold can run the plan again.
    """

    def __init__(self, pid: int, *, runs: bool, withdrawn: bool, verifies: bool) -> None:
        self.pid = pid
        self.runs = runs
        self.withdrawn = withdrawn
        self.verifies = verifies


def other_owner(marker: str, own_pid: int) -> Owner | None:
    """The living process that owns a marker; None if there is none, or it is `own_pid`."""
    for path in (marker, withdrawn(marker), running(marker)):
        try:
            # We never write links, so do not follow one.
            data = read_regular(path, most=MOST_BYTES, follow=False)
            vouching = parse(data)
        except (OSError, ValueError):
            continue
        pid = vouching.get("pid") if isinstance(vouching, dict) else None
        if isinstance(vouching, dict) and isinstance(pid, int) and pid != own_pid and why_not(vouching) is None:
            runs = path == running(marker)
            verifies = not runs and b'"verify":null' not in data
            return Owner(pid, runs=runs, withdrawn=path == withdrawn(marker), verifies=verifies)
    return None


def drop_stale(marker: str, own_pid: int) -> None:
    """Remove a marker, published or withdrawn, that no living process vouches for.

    Raises:
        OSError: it exists and cannot be removed.
    """
    # List them first, so that a marker which another run publishes meanwhile is not removed.
    stale = [path for path in (marker, withdrawn(marker)) if os.path.lexists(path)]
    for path in stale:
        refuse_foreign(path)
    if stale and other_owner(marker, own_pid) is None:
        for path in stale:
            drop(path)
