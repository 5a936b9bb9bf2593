"""What the record says. Its JSON Schema is `inithold schema record`; a newer inithold reads older records."""

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
    """One attempt at a step that did not succeed.

    Args:
        number: from 1.
        at: when it ended, Unix time in seconds.
        error: what was seen.
    """

    number: int
    at: float
    error: str


class PhaseStart(msgspec.Struct):
    """A step began to be checked, to be applied, or to wait for its next attempt.

    Args:
        phase: what began; it lasts until the next begins or the step ends.
        attempt: which attempt it belongs to, from 1; waiting follows its attempt.
        at: when, Unix time in seconds.
    """

    phase: Phase
    attempt: int
    at: float


class StepRecord(msgspec.Struct):
    """The account of one step.

    Args:
        id: of the step.
        kind: what it is made of.
        needs: ids of the steps it needs.
        target: what it works on, without secrets.
        state: what it does now, or its outcome.
        started: when its needs were met, Unix time in seconds.
        ended: when it ended.
        attempts: how many were made.
        probes: bare connections that were tried between attempts.
        failures: the last of those that did not succeed.
        changes: what was made; while it runs, what is wanted.
        wanted: of a step that did not succeed, what its last check asked for.
        waiting: seconds between attempts.
        checking: seconds in checks.
        applying: seconds in apply.
        waiting_for: why it is not done yet.
        reason: what failed, or why it was skipped.
        hint: what to do next.
        tolerated: it failed and the plan lets the run go on.
        log: its last lines.
        lines_left_out: how many earlier lines are not kept.
        phases: the last of what it did, first to last.
        phases_left_out: how many earlier ones are not kept.
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
    """What a hold that verifies found, since it found it.

    Args:
        at: when it was first found, Unix time in seconds.
        holds: whether the environment holds; None where that cannot be told, as with a plan that is refused.
        seen: the differences, and what else there was to say.
    """

    at: float
    holds: bool | None
    seen: tuple[str, ...] = ()


class Record(msgspec.Struct):
    """The account of one run.

    Args:
        version: of the format: 1.
        name: of the environment.
        digest: SHA-256 of the plan, hexadecimal.
        run_id: of this run.
        trace_id: of its trace, hexadecimal.
        inithold: version of the program.
        python: version of the interpreter.
        started: Unix time in seconds.
        ended: when the steps were over.
        outcome: None while it runs.
        reason: why it is not ready, or why it ran again.
        verification: what a hold that verifies found where that is news; None while everything is as it was.
        hint: what to do next, where no step tells it.
        lock_waited: seconds it waited for the lock; None without a lock.
        lock_waiting_for: who holds the lock, while waiting.
        marker: path of the marker once it is published.
        steps: in plan order.
        log: lines of inithold itself.
        repair: of a run of a part of the plan, which: `only topology`, `from migrate`. Its `ready` means that
            these steps hold; it says nothing of the others.
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
