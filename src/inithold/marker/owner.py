"""Whose a marker is: the process that holds, or the run that is still going on, for as long as it lives."""

from __future__ import annotations

import os

from inithold.marker.file import drop, refuse_odd, running, withdrawn
from inithold.marker.identity import MOST_BYTES, parse, why_not
from inithold.text.files import read_regular


class Owner:
    """A living process that a marker, or the file of a run, names.

    Args:
        pid: its number.
        runs: whether its run is still going on; else it holds.
        withdrawn: whether it holds and has taken the marker away, since the environment is not in place.
        verifies: whether its hold can run the plan again.
    """

    def __init__(self, pid: int, *, runs: bool, withdrawn: bool, verifies: bool) -> None:
        self.pid = pid
        self.runs = runs
        self.withdrawn = withdrawn
        self.verifies = verifies


def other_owner(marker: str, own_pid: int) -> Owner | None:
    """The living process that a marker belongs to; None where that is nobody, or `own_pid`."""
    for path in (marker, withdrawn(marker), running(marker)):
        try:
            # Never through a link: we write none.
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
    """Remove a marker that nobody living vouches for, also one that was withdrawn.

    Raises:
        OSError: it is there and cannot be removed.
    """
    # Looked for first: what another run publishes meanwhile is not touched.
    stale = [path for path in (marker, withdrawn(marker)) if os.path.lexists(path)]
    for path in stale:
        refuse_odd(path)
    if stale and other_owner(marker, own_pid) is None:
        for path in stale:
            drop(path)
