"""What happened, as frozen records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

from inithold.redaction.redact import scrub
from inithold.redaction.sanitize import sanitize
from inithold.steps.base import Change
from inithold.text.duration import short

StepOutcome = Literal["unchanged", "changed", "failed", "skipped", "cancelled"]
RunOutcome = Literal["ready", "failed", "cancelled"]
Level = Literal["debug", "info", "warning", "error"]
TelemetrySignal = Literal["traces", "metrics", "logs"]
Phase = Literal["waiting", "checking", "applying"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all events; encoded, each has its class's name as `type`.

    Args:
        at: Unix time in seconds.
    """

    at: float = msgspec.field(default_factory=time.time)

    def scrubbed(self: E) -> E:
        """A copy whose foreign texts hold no known secret."""
        return self


E = TypeVar("E", bound=Event)


class Span(msgspec.Struct, frozen=True):
    """Ids of a span as W3C Trace Context writes them: lower-case hexadecimal, 16 and 8 bytes."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True

    def traceparent(self) -> str:
        """The value of the `traceparent` header and of the variable `TRACEPARENT`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class PlannedStepInfo(msgspec.Struct, frozen=True):
    """What watchers know of a step before it starts."""

    id: str
    kind: str
    needs: tuple[str, ...]
    target: str = ""


class RunStarted(Event, frozen=True):
    """A plan begins to run (again, where a lock was lost).

    Args:
        reason: why a hold that verifies runs it again; empty for a first run.
        repair: where a part of it is run, which: `only topology`.
    """

    name: str
    run_id: str
    digest: str
    span: Span
    steps: tuple[PlannedStepInfo, ...]
    reason: str = ""
    repair: str = ""

    def scrubbed(self) -> RunStarted:
        steps = tuple(msgspec.structs.replace(info, target=sanitize(info.target)) for info in self.steps)
        return msgspec.structs.replace(
            self,
            name=sanitize(self.name),
            steps=steps,
            reason=sanitize(self.reason),
            repair=sanitize(self.repair),
        )


class LockWaiting(Event, frozen=True):
    """Another process holds the lock, or its server is not up yet."""

    reason: str
    elapsed: float

    def scrubbed(self) -> LockWaiting:
        return msgspec.structs.replace(self, reason=sanitize(self.reason))


class LockAcquired(Event, frozen=True):
    """This process may apply changes."""

    waited: float


class StepStarted(Event, frozen=True):
    """A step's needs are met and its work begins."""

    step: str
    span: Span


class PhaseChanged(Event, frozen=True):
    """A step waits, is checked or is applied; `attempt` counts from 1."""

    step: str
    phase: Phase
    attempt: int


class StepWaiting(Event, frozen=True):
    """Why a step is not done yet; said when the reason changes and every few seconds."""

    step: str
    reason: str
    attempt: int
    elapsed: float
    hint: str | None = None

    def scrubbed(self) -> StepWaiting:
        return msgspec.structs.replace(self, reason=sanitize(self.reason), hint=self.hint and sanitize(self.hint))


class AttemptFailed(Event, frozen=True):
    """One attempt ended without the step holding."""

    step: str
    attempt: int
    error: str

    def scrubbed(self) -> AttemptFailed:
        return msgspec.structs.replace(self, error=sanitize(self.error))


class StepChecked(Event, frozen=True):
    """A check answered; `changes` is what it still wants."""

    step: str
    changes: tuple[Change, ...]

    def scrubbed(self) -> StepChecked:
        return msgspec.structs.replace(self, changes=clean(self.changes))


class LogLine(Event, frozen=True):
    """A line said by a step, or by inithold itself where `step` is None."""

    text: str
    step: str | None = None
    level: Level = "info"

    def scrubbed(self) -> LogLine:
        return msgspec.structs.replace(self, text=sanitize(self.text))


class FromUserCode(Event, frozen=True):
    """OpenTelemetry of the user's code, on its way to the sender.

    Args:
        signal: what it is.
        body: JSON, as `runner.user_telemetry` makes it.
    """

    signal: TelemetrySignal
    body: str

    def scrubbed(self) -> FromUserCode:
        return msgspec.structs.replace(self, body=scrub(self.body))


class Timing(msgspec.Struct, frozen=True):
    """Seconds a step spent waiting, checking and applying."""

    waiting: float = 0.0
    checking: float = 0.0
    applying: float = 0.0

    @property
    def total(self) -> float:
        return self.waiting + self.checking + self.applying


class StepFinished(Event, frozen=True):
    """A step ended.

    Args:
        reason: why it was skipped, what failed; empty where it holds.
        hint: what to do next.
        exception: class name of what was raised, for telemetry.
        tolerated: it failed and the plan says `on_failure: continue`.
        probes: bare connections that were tried between attempts, none of them accepted but the last.
    """

    step: str
    outcome: StepOutcome
    attempts: int = 0
    probes: int = 0
    changes: tuple[Change, ...] = ()
    timing: Timing = Timing()
    reason: str = ""
    hint: str | None = None
    exception: str = ""
    tolerated: bool = False

    @property
    def met(self) -> bool:
        """Whether steps that need this one may start."""
        return self.outcome in ("unchanged", "changed") or self.tolerated or self.passed_over

    @property
    def passed_over(self) -> bool:
        """Whether `when` left it out."""
        return self.outcome == "skipped" and self.reason == PASSED_OVER

    def scrubbed(self) -> StepFinished:
        return msgspec.structs.replace(
            self,
            reason=sanitize(self.reason),
            hint=self.hint and sanitize(self.hint),
            changes=clean(self.changes),
        )


PASSED_OVER = "its when is false"


class RunFinished(Event, frozen=True):
    """The steps are over; the marker, if any, follows.

    Args:
        reason: why it is not ready.
        hint: what to do next, where no step tells it.
    """

    outcome: RunOutcome
    duration: float
    reason: str = ""
    hint: str | None = None

    def scrubbed(self) -> RunFinished:
        return msgspec.structs.replace(self, reason=sanitize(self.reason), hint=self.hint and sanitize(self.hint))


class MarkerPublished(Event, frozen=True):
    """The environment is ready and everyone may know."""

    path: str

    def scrubbed(self) -> MarkerPublished:
        return msgspec.structs.replace(self, path=sanitize(self.path))


class HoldStarted(Event, frozen=True):
    """Nothing follows but the hold.

    Args:
        holder: the program that holds.
        verify: seconds between two checks, infinite for none but on demand; None where it does not verify.
    """

    holder: str
    verify: float | None = None

    def __str__(self) -> str:
        if self.verify is None:
            return f"holding ({self.holder})"
        pace = "on demand" if self.verify == math.inf else f"every {short(self.verify)}"
        return f"holding ({self.holder}), verified {pace}"


class Verified(Event, frozen=True):
    """A hold that verifies has looked at the environment.

    Args:
        name: of the plan.
        holds: whether the environment still holds.
    """

    name: str
    holds: bool

    def scrubbed(self) -> Verified:
        return msgspec.structs.replace(self, name=sanitize(self.name))


def clean(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes without secrets: names of things come from servers and plans alike."""
    return tuple(
        Change(change.op, sanitize(change.what), tuple(sanitize(line) for line in change.details))
        for change in changes
    )
