"""What init is doing now, from the marker; the record only tells the past. Standard library only."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from inithold.marker.file import withdrawn
from inithold.marker.health import problem
from inithold.marker.identity import MOST_BYTES
from inithold.marker.owner import Owner, other_owner
from inithold.process.streams import printable
from inithold.text.duration import spoken
from inithold.text.files import read_regular

_MARKER_AGE = 0.5
"""A marker's mtime this many seconds after `ready_at` means that a check has touched it."""


def present(marker: str, record: Mapping[str, Any] | None) -> dict[str, Any]:
    """What this container's init is doing now.

    Args:
        marker: path of the marker.
        record: the newest record, as parsed JSON; None if there is none.

    Returns:
        `state` (`running`, `holding`, `withdrawn` or `over`), `text` (one line for people), and `since` and
        `verified` in Unix time, if known.
    """
    owner = other_owner(marker, own_pid=0)
    if owner is None:
        return {"state": "over", "text": _over(marker, record), "since": None, "verified": None}
    if owner.runs:
        since = None if record is None or record["outcome"] is not None else float(record["started"])
        return {"state": "running", "text": _running(record), "since": since, "verified": None}
    return _holding(marker, owner, record or {})


def _running(record: Mapping[str, Any] | None) -> str:
    if record is None or record["outcome"] is not None:
        return "running: the plan is being read"
    took = f"running for {spoken(time.time() - record['started'])}"
    if waiting := record.get("lock_waiting_for"):
        return f"{took}, waiting for the lock: {waiting}"
    steps = record["steps"]
    ended = sum(step["ended"] is not None for step in steps)
    current = [step["id"] for step in steps if step["state"] in ("waiting", "checking", "applying")]
    return f"{took}, step {min(ended + 1, len(steps))} of {len(steps)}: {', '.join(current[:5]) or 'done'}"


def _holding(marker: str, owner: Owner, record: Mapping[str, Any]) -> dict[str, Any]:
    path = withdrawn(marker) if owner.withdrawn else marker
    ready_at = _ready_at(path)
    verification = record.get("verification") or {}
    if owner.withdrawn:
        reasons = "; ".join(verification.get("seen", ())) or "the environment is no longer in place"
        since = verification.get("at")
        text = f"not ready: withdrawn{f' since {date(since)}' if since else ''}: {reasons}"
        return {"state": "withdrawn", "text": text, "since": since, "verified": None}
    text = f"holding since {date(ready_at)}" if ready_at else "holding"
    if not owner.verifies:
        return {"state": "holding", "text": text, "since": ready_at, "verified": None}
    # The holder touches the marker after each check that finds everything in place.
    touched = os.stat(path).st_mtime  # noqa: PTH116 - pathlib is slow to import
    verified = touched if ready_at is None or touched > ready_at + _MARKER_AGE else None
    ago = "not verified yet" if verified is None else f"verified {spoken(max(0.0, time.time() - verified))} ago"
    if verification and verification.get("holds") is None:
        ago += f", cannot be verified since {date(verification['at'])}"
    return {"state": "holding", "text": f"{text}, {ago}", "since": ready_at, "verified": verified}


def _over(marker: str, record: Mapping[str, Any] | None) -> str:
    path = marker if os.path.lexists(marker) else withdrawn(marker)
    if (ready_at := _ready_at(path)) is not None:
        return f"was ready at {date(ready_at)}, nobody holds now: {printable(problem(path) or '')}"
    if record is None:
        return "no run here yet"
    if record["outcome"] is None:
        return f"nobody runs or holds now: the run that began at {date(record['started'])} was interrupted"
    words = "was ready" if record["outcome"] == "ready" else record["outcome"]
    return f"{words} at {date(record['ended'] or record['started'])}, nobody holds now"


def _ready_at(path: str) -> float | None:
    try:
        ready_at = json.loads(read_regular(path, most=MOST_BYTES))["ready_at"]
        datetime.fromtimestamp(ready_at)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return float(ready_at)


def date(at: float) -> str:
    """A time in the local time zone, with its offset, to the second."""
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
