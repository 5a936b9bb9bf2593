"""The record. Its JSON Schema is `inithold schema record`; a newer inithold reads older records."""

from __future__ import annotations

from typing import Literal

import msgspec

from inithold.runner.events import Phase, RunOutcome
from inithold.steps.base import Change

VERSION = 1
StepState = Literal[
    "pending", "waiting", "checking", "applying", "unchanged", "changed", "failed", "skipped", "cancelled"
]
LINES_KEPT = 50
ATTEMPTS_KEPT = 50
PHASES_KEPT = 60


class Attempt(msgspec.Struct):
    """A failed attempt at a step.

    Args:
        number: from 1.
        at: when it ended, Unix time in seconds.
        error: the error.
    """

    number: int
    at: float
    error: str


class PhaseStart(msgspec.Struct):
    """The start of a phase of a step: a check, an apply, or the wait for the next attempt.

    Args:
        phase: the phase; it lasts until the next one starts or the step ends.
        attempt: number of its attempt, from 1; waiting belongs to the attempt before it.
        at: when it started, Unix time in seconds.
    """

    phase: Phase
    attempt: int
    at: float


class StepRecord(msgspec.Struct):
    """The account of one step.

    Args:
        id: id of the step.
        kind: kind of the step.
        needs: ids of the steps it needs.
        target: what it works on, without secrets.
        state: its current phase, or its outcome.
        started: when its needs were met, Unix time in seconds.
        ended: when it ended.
        attempts: number of attempts.
        probes: number of bare connections tried between attempts.
        failures: the last failed attempts.
        changes: the changes it made; while it runs, those still needed.
        wanted: for a step that did not succeed, the changes that its last check returned.
        waiting: seconds spent between attempts.
        checking: seconds spent in checks.
        applying: seconds spent in apply.
        waiting_for: why it is not done yet.
        reason: what failed, or why it was skipped.
        hint: what to do next.
        tolerated: whether it failed and the plan let the run go on.
        log: its last log lines.
        lines_left_out: number of earlier lines that were not kept.
        phases: its last phases, oldest first.
        phases_left_out: number of earlier phases that were not kept.
    """

    id: str
    kind: str
    needs: tuple[str, ...] = ()
    target: str = ""
    state: StepState = "pending"
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    failures: list[Attempt] = []
    changes: tuple[Change, ...] = ()
    waiting: float = 0.0
    checking: float = 0.0
    applying: float = 0.0
    waiting_for: str = ""
    reason: str = ""
    hint: str | None = None
    tolerated: bool = False
    log: list[str] = []
    lines_left_out: int = 0
    phases: list[PhaseStart] = []
    phases_left_out: int = 0
    wanted: tuple[Change, ...] = ()
    probes: int = 0


class Verification(msgspec.Struct):
    """What a verifying hold found.

    Args:
        at: when it was first found, Unix time in seconds.
        holds: whether everything is in place; null if unknown, for example because the plan is refused.
        seen: the differences and other findings.
    """

    at: float
    holds: bool | None
    seen: tuple[str, ...] = ()


class Record(msgspec.Struct):
    """The account of one run.

    Args:
        version: version of the format: 1.
        name: name of the environment.
        digest: SHA-256 of the plan, hexadecimal.
        run_id: id of the run.
        trace_id: id of its trace, hexadecimal.
        inithold: version of the program.
        python: version of the interpreter.
        started: when the run started, Unix time in seconds.
        ended: when its steps had ended; null while it runs.
        outcome: its outcome; null while it runs.
        reason: why it is not ready, or why it ran again.
        verification: the latest finding of a verifying hold; null while nothing has changed.
        hint: what to do next, if no step says it.
        lock_waited: seconds it waited for the lock; null without a lock.
        lock_waiting_for: who holds the lock, while waiting.
        marker: path of the marker, once it is published.
        steps: the steps, in plan order.
        log: log lines of inithold itself.
        repair: the part of the plan that a repair ran: `only topology`, `from migrate`. Its `ready` covers only
            these steps.
    """

    name: str
    digest: str
    run_id: str
    trace_id: str
    inithold: str
    python: str
    started: float
    version: int = VERSION
    ended: float | None = None
    outcome: RunOutcome | None = None
    reason: str = ""
    hint: str | None = None
    lock_waited: float | None = None
    lock_waiting_for: str = ""
    marker: str | None = None
    steps: list[StepRecord] = []
    verification: Verification | None = None
    log: list[str] = []
    repair: str = ""


def load_record(path: str) -> Record | None:
    """Read a record; None if it cannot be read: the run has warned if it could not write it."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - as the record's other readers
            return msgspec.json.decode(stream.read(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None
