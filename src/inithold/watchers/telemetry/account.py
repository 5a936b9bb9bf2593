"""The events of a process sorted into runs and steps, as spans, metrics and log records need them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from inithold.runner.events import (
    AttemptFailed,
    Event,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    PlannedStepInfo,
    RunFinished,
    RunStarted,
    Span,
    StepFinished,
    StepStarted,
    StepWaiting,
    Verified,
)


class StepAccount:
    """One step of one run.

    Args:
        info: what the plan says of it.
        span: its span; None where it never started.
        at: Unix time of its start.
    """

    def __init__(self, info: PlannedStepInfo, span: Span | None, at: float) -> None:
        self.info = info
        self.span = span
        self.started_at = at
        self.notes: list[StepWaiting | AttemptFailed] = []
        self.finished: StepFinished | None = None


class RunAccount:
    """One run, with its steps in the order they started; a run that lost its lock has a step more than once."""

    def __init__(self, started: RunStarted) -> None:
        self.started = started
        self.finished: RunFinished | None = None
        self.ended_at = started.at
        self.steps: list[StepAccount] = []
        self.notes: list[LockWaiting | LockAcquired | MarkerPublished] = []
        self._infos = {info.id: info for info in started.steps}
        self._current: dict[str, StepAccount] = {}

    @property
    def span(self) -> Span:
        return self.started.span

    def step(self, step_id: str) -> StepAccount | None:
        """The step as it runs now."""
        return self._current.get(step_id)

    def begin(self, step_id: str, span: Span | None, at: float) -> StepAccount:
        """Account for a step that starts or, without a span, ends without having started."""
        info = self._infos.get(step_id) or PlannedStepInfo(step_id, "", ())
        step = self._current[step_id] = StepAccount(info, span, at)
        self.steps.append(step)
        return step


class LogEntry(NamedTuple):
    """An event that is a log record, too, and the span that it belongs to."""

    event: StepWaiting | LockWaiting | LogLine | StepFinished | RunFinished
    span: Span | None


class Account:
    """What happened in a process.

    Args:
        events: in the order they were seen.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.runs: list[RunAccount] = []
        self.log_entries: list[LogEntry] = []
        self.verified: list[Verified] = []
        early: list[LogLine] = []
        for event in events:
            if isinstance(event, RunStarted):
                self._start(event)
            elif isinstance(event, Verified):
                self.verified.append(event)
            elif self.runs:
                self._take(self.runs[-1], event)
            elif isinstance(event, LogLine):
                early.append(event)
        first = self.runs[0].span if self.runs else None
        self.log_entries[:0] = [LogEntry(line, first) for line in early]

    def _start(self, event: RunStarted) -> None:
        # A run that starts over after its lock was lost goes on under the same span.
        if not self.runs or self.runs[-1].span != event.span:
            self.runs.append(RunAccount(event))

    def _take(self, run: RunAccount, event: Event) -> None:
        if isinstance(event, RunFinished):
            run.finished = event
            self.log_entries.append(LogEntry(event, run.span))
        elif isinstance(event, LockWaiting | LockAcquired | MarkerPublished):
            run.notes.append(event)
            if isinstance(event, LockWaiting):
                self.log_entries.append(LogEntry(event, run.span))
        elif isinstance(event, StepStarted):
            run.begin(event.step, event.span, event.at)
        elif isinstance(event, StepFinished):
            self._finish(run, event)
        elif isinstance(event, StepWaiting | AttemptFailed):
            self._note(run, event)
        elif isinstance(event, LogLine):
            # What is said after the end, such as a warning about the record, does not make the run longer.
            step = run.step(event.step) if event.step else None
            self.log_entries.append(LogEntry(event, step.span if step and step.span else run.span))
            return
        run.ended_at = max(run.ended_at, event.at)

    def _note(self, run: RunAccount, event: StepWaiting | AttemptFailed) -> None:
        step = run.step(event.step)
        if step is None:
            return
        step.notes.append(event)
        if isinstance(event, StepWaiting):
            self.log_entries.append(LogEntry(event, step.span))

    def _finish(self, run: RunAccount, event: StepFinished) -> None:
        step = run.step(event.step)
        if step is None or step.finished is not None:
            step = run.begin(event.step, None, event.at)
        step.finished = event
        self.log_entries.append(LogEntry(event, step.span or run.span))
