"""The marker during a run: claimed at the start, written once the run is ready."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from inithold.errors import UsageError
from inithold.hold.reaper import REAPER
from inithold.marker import file as marker_file
from inithold.marker.identity import identity
from inithold.marker.owner import Owner, drop_stale, other_owner
from inithold.plan.model import CheckedPlan, Pace
from inithold.redaction.sanitize import sanitize
from inithold.text import platform

if TYPE_CHECKING:
    from inithold.runner.run import RunResult

VERSION = 1
_CLAIM_SECONDS = 2.0
"""Seconds to wait for other processes that are claiming a marker in the same folder."""


class Claim:
    """Claims the marker for this run, so that no second run starts for it, and removes a stale marker.

    The claim is a file beside the marker that names this process. It counts only while that process lives, so one
    left by a crash blocks nobody.

    Raises:
        UsageError: another process holds or runs for the marker, or the marker cannot be written.
    """

    def __init__(self, marker: str) -> None:
        self._file = marker_file.running(marker)
        try:
            with _alone_in(os.path.dirname(marker) or "."):  # noqa: PTH120
                if owner := other_owner(marker, REAPER.holding_pid):
                    raise _refusal(marker, owner)
                drop_stale(marker, REAPER.holding_pid)
                marker_file.check_writable(marker)
                named = {"version": VERSION, "vouched_by": identity(REAPER.holding_pid)}
                marker_file.write_whole(self._file, msgspec.json.encode(named) + b"\n", sync=False)
        except OSError as error:
            raise UsageError(
                f"the marker {marker} cannot be written: {error.strerror}",
                hint="name a writable place with --marker or INITHOLD_MARKER; a read-only container needs a tmpfs",
            ) from error
        self._released = False

    def release(self) -> None:
        """Give up the claim: the run is over, or the marker itself now names this process."""
        if not self._released:
            self._released = True
            # A leftover blocks nobody once this process has ended.
            with suppress(OSError):
                marker_file.drop(self._file)


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Lock the folder, so that two runs started at the same moment claim one after the other.

    Goes on without the lock if the folder cannot be locked.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        ends_at = time.monotonic() + _CLAIM_SECONDS
        while time.monotonic() < ends_at:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        os.close(descriptor)


def _refusal(marker: str, owner: Owner) -> UsageError:
    if owner.runs:
        return UsageError(
            f"a run for the marker {marker} is still going on (process {owner.pid}); nothing was changed",
            hint="inithold status --watch follows it; one for another environment takes another --marker",
        )
    rerun = "inithold rerun runs the plan again in place"
    again = rerun if owner.verifies else f"to run it all again: {platform.recreate()}"
    return UsageError(
        f"process {owner.pid} holds for the marker {marker}: the environment is initialized; nothing was changed",
        hint=f"{again}; inithold run --only ID runs a part again",
    )


def content(plan: CheckedPlan, result: RunResult, duration: float, *, pace: Pace | None, once: bool) -> bytes:
    """The marker's content for a run that took `duration` seconds; after `once` no process vouches for it."""
    fields = {
        "version": VERSION,
        "name": sanitize(plan.name),
        "digest": plan.digest,
        "ready_at": time.time(),
        "duration": round(duration, 6),
        "steps": {step.step: "failed, tolerated" if step.tolerated else step.outcome for step in result.steps},
        "verify": None if pace is None else str(pace),
        # Last, so that a health check finds it without a parser.
        "vouched_by": None if once else identity(REAPER.holding_pid),
    }
    return msgspec.json.encode(fields) + b"\n"
