"""The events of a run, as frozen structs."""

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
    """Base of all events. In JSON, `type` is the class name.

    Args:
        at: Unix time in seconds.
    """

    at: float = msgspec.field(default_factory=time.time)

    def scrubbed(self: E) -> E:
        """A copy without known secrets."""
        return self


E = TypeVar("E", bound=Event)


class Span(msgspec.Struct, frozen=True):
    """A span's ids in W3C Trace Context format: lower-case hexadecimal, of 16 and 8 bytes."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True

    def traceparent(self) -> str:
        """The value of the `traceparent` header and the `TRACEPARENT` variable."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class PlannedStepInfo(msgspec.Struct, frozen=True):
    """What watchers know of a step before it starts."""

    id: str
    kind: str
    needs: tuple[str, ...]
    target: str = ""


class RunStarted(Event, frozen=True):
    """A plan starts to run, or starts over because its lock was lost.

    Args:
        reason: why a verifying hold runs it again; empty for a first run.
        repair: the part that is run, such as `only topology`; empty for the whole plan.
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
    """Another process holds the lock, or the lock's server is not up yet."""

    reason: str
    elapsed: float

    def scrubbed(self) -> LockWaiting:
        return msgspec.structs.replace(self, reason=sanitize(self.reason))


class LockAcquired(Event, frozen=True):
    """This process may apply changes."""

    waited: float


class StepStarted(Event, frozen=True):
    """A step begins: its needs are met."""

    step: str
    span: Span


class PhaseChanged(Event, frozen=True):
    """A step begins to wait, check or apply; `attempt` counts from 1."""

    step: str
    phase: Phase
    attempt: int


class StepWaiting(Event, frozen=True):
    """Why a step is still waiting; emitted when the reason changes and every few seconds."""

    step: str
    reason: str
    attempt: int
    elapsed: float
    hint: str | None = None

    def scrubbed(self) -> StepWaiting:
        return msgspec.structs.replace(self, reason=sanitize(self.reason), hint=self.hint and sanitize(self.hint))


class AttemptFailed(Event, frozen=True):
    """An attempt at a step failed."""

    step: str
    attempt: int
    error: str

    def scrubbed(self) -> AttemptFailed:
        return msgspec.structs.replace(self, error=sanitize(self.error))


class StepChecked(Event, frozen=True):
    """A check is done; `changes` are those still to be made."""

    step: str
    changes: tuple[Change, ...]

    def scrubbed(self) -> StepChecked:
        return msgspec.structs.replace(self, changes=clean(self.changes))


class LogLine(Event, frozen=True):
    """A log line of a step, or of inithold itself if `step` is None."""

    text: str
    step: str | None = None
    level: Level = "info"

    def scrubbed(self) -> LogLine:
        return msgspec.structs.replace(self, text=sanitize(self.text))


class FromUserCode(Event, frozen=True):
    """OpenTelemetry data of user code, on its way to the sender; `body` is JSON of `runner.user_telemetry`."""

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
        reason: why it failed, was skipped or cancelled; empty for `changed` and `unchanged`.
        hint: what to do next.
        exception: class name of the exception, for telemetry.
        tolerated: whether it failed and the plan says `on_failure: continue`.
        probes: TCP probes between attempts; only the last can have been accepted.
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
        """Whether its `when` was false."""
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
    """All steps are finished; the marker, if any, is published next.

    Args:
        reason: why the run is not ready.
        hint: what to do next, if no step's hint says it.
    """

    outcome: RunOutcome
    duration: float
    reason: str = ""
    hint: str | None = None

    def scrubbed(self) -> RunFinished:
        return msgspec.structs.replace(self, reason=sanitize(self.reason), hint=self.hint and sanitize(self.hint))


class MarkerPublished(Event, frozen=True):
    """The marker is in place: the environment is ready."""

    path: str

    def scrubbed(self) -> MarkerPublished:
        return msgspec.structs.replace(self, path=sanitize(self.path))


class HoldStarted(Event, frozen=True):
    """The hold begins: the last event of a run.

    Args:
        holder: the program that holds.
        verify: seconds between two checks; infinite for on demand only; None if the hold does not verify.
    """

    holder: str
    verify: float | None = None

    def __str__(self) -> str:
        if self.verify is None:
            return f"holding ({self.holder})"
        pace = "on demand" if self.verify == math.inf else f"every {short(self.verify)}"
        return f"holding ({self.holder}), verified {pace}"


class Verified(Event, frozen=True):
    """A verifying hold has checked the environment.

    Args:
        name: the plan's name.
        holds: whether everything is still in place.
    """

    name: str
    holds: bool

    def scrubbed(self) -> Verified:
        return msgspec.structs.replace(self, name=sanitize(self.name))


def clean(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes without secrets: their texts come from servers and plans."""
    return tuple(
        Change(change.op, sanitize(change.what), tuple(sanitize(line) for line in change.details))
        for change in changes
    )
