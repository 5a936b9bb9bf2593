"""What a run writes into the marker, and the place for it made ready before anything else."""

from __future__ import annotations

import time

import msgspec

from inithold.errors import UsageError
from inithold.hold.reaper import REAPER
from inithold.marker import file as marker_file
from inithold.marker.identity import identity
from inithold.plan.model import CheckedPlan, Pace
from inithold.redaction.redact import scrub
from inithold.runner.run import RunResult

VERSION = 1


def clear(marker: str) -> None:
    """Remove what an earlier run has left, and make sure that a marker can be written.

    Raises:
        UsageError: it cannot.
    """
    try:
        marker_file.drop(marker)
        marker_file.drop(marker_file.withdrawn(marker))
        marker_file.check_writable(marker)
    except OSError as error:
        raise UsageError(
            f"the marker {marker} cannot be written: {error.strerror}",
            hint="name a writable place with --marker or INITHOLD_MARKER; a read-only container needs a tmpfs",
        ) from error


def content(plan: CheckedPlan, result: RunResult, duration: float, *, pace: Pace | None, once: bool) -> bytes:
    """The content of the marker of a run that is ready.

    Args:
        plan: that was run.
        result: how.
        duration: seconds it took.
        pace: at which the hold verifies; None where it does not.
        once: whether nobody stays to vouch for it.
    """
    promised = {
        "version": VERSION,
        "name": scrub(plan.name),
        "digest": plan.digest,
        "ready_at": time.time(),
        "duration": round(duration, 6),
        "steps": {step.step: "failed, tolerated" if step.tolerated else step.outcome for step in result.steps},
        "verify": None if pace is None else str(pace),
        # Last, where a health check finds it without a parser.
        "vouched_by": None if once else identity(REAPER.holding_pid),
    }
    return msgspec.json.encode(promised) + b"\n"
