"""The events of a run, as frozen structs."""

from __future__ import annotations

import math
import os
import time
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

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

    foreign: ClassVar[tuple[str, ...]] = ()
    """The fields whose text comes from plans, servers and user code."""

    at: float = msgspec.field(default_factory=time.time)

    def scrubbed(self: E) -> E:
        """A copy without known secrets."""
        if not self.foreign:
            return self
        return msgspec.structs.replace(self, **{name: clean(getattr(self, name)) for name in self.foreign})


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

    @classmethod
    def root(cls) -> Span:
        """The first span of a new trace."""
        return cls(os.urandom(16).hex(), os.urandom(8).hex())

    def child(self) -> Span:
        """A new span in this one."""
        return Span(self.trace_id, os.urandom(8).hex(), self.span_id, self.sampled)


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

    foreign = ("name", "steps", "reason", "repair")

    name: str
    run_id: str
    digest: str
    span: Span
    steps: tuple[PlannedStepInfo, ...]
    reason: str = ""
    repair: str = ""


class LockWaiting(Event, frozen=True):
    """Another process holds the lock, or the lock's server is not up yet."""

    foreign = ("reason",)

    reason: str
    elapsed: float


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

    foreign = ("reason", "hint")

    step: str
    reason: str
    attempt: int
    elapsed: float
    hint: str | None = None


class AttemptFailed(Event, frozen=True):
    """An attempt at a step failed."""

    foreign = ("error",)

    step: str
    attempt: int
    error: str


class StepChecked(Event, frozen=True):
    """A check is done; `changes` are those still to be made."""

    foreign = ("changes",)

    step: str
    changes: tuple[Change, ...]


class LogLine(Event, frozen=True):
    """A log line of a step, or of inithold itself if `step` is None."""

    foreign = ("text",)

    text: str
    step: str | None = None
    level: Level = "info"


class FromUserCode(Event, frozen=True):
    """OpenTelemetry data of user code, on its way to the sender; `body` is JSON of `runner.user_telemetry`."""

    foreign = ("body",)

    signal: TelemetrySignal
    body: str


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

    foreign = ("reason", "hint", "changes")

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
        passed_over = self.outcome == "skipped" and self.reason == PASSED_OVER
        return self.outcome in ("unchanged", "changed") or self.tolerated or passed_over


PASSED_OVER = "its when is false"


class RunFinished(Event, frozen=True):
    """All steps are finished; the marker, if any, is published next.

    Args:
        reason: why the run is not ready.
        hint: what to do next, if no step's hint says it.
    """

    foreign = ("reason", "hint")

    outcome: RunOutcome
    duration: float
    reason: str = ""
    hint: str | None = None


class MarkerPublished(Event, frozen=True):
    """The marker is in place: the environment is ready."""

    foreign = ("path",)

    path: str


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

    foreign = ("name",)

    name: str
    holds: bool


def clean(value: Any) -> Any:
    """A text, change, step, or tuple of them, without secrets; None stays None."""
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, Change):
        return Change(value.op, sanitize(value.what), clean(value.details))
    if isinstance(value, PlannedStepInfo):
        return msgspec.structs.replace(value, target=sanitize(value.target))
    return value and tuple(map(clean, value))
