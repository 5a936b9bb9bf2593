"""Builds the record from events."""

from __future__ import annotations

import platform

from inithold.record.model import (
    ATTEMPTS_KEPT,
    LINES_KEPT,
    PHASES_KEPT,
    Attempt,
    PhaseStart,
    Record,
    StepRecord,
)
from inithold.runner.events import (
    AttemptFailed,
    Event,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    PhaseChanged,
    RunFinished,
    RunStarted,
    StepChecked,
    StepFinished,
    StepStarted,
    StepWaiting,
)
from inithold.runner.stream import Watcher
from inithold.version import __version__


class Account(Watcher):
    """The watcher that builds the record; None until a run has started."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self._steps: dict[str, StepRecord] = {}

    def resume(self, record: Record) -> None:
        """Continue an existing record, such as that of a killed run."""
        self.record = record
        self._steps = {step.id: step for step in record.steps}

    def step(self, step_id: str) -> StepRecord:
        """The record of one step."""
        return self._steps[step_id]

    def see(self, event: Event) -> None:
        """Add an event to the record."""
        match event:
            case LogLine(level="debug"):
                return
            case LogLine() if event.step in self._steps:
                step = self._steps[event.step]
                step.log.append(event.text)
                step.lines_left_out += max(0, len(step.log) - LINES_KEPT)
                del step.log[:-LINES_KEPT]
            case LogLine() if self.record:
                self.record.log.append(event.text)
                del self.record.log[:-LINES_KEPT]
            case StepStarted():
                self._steps[event.step].started = event.at
            case PhaseChanged():
                step = self._steps[event.step]
                if step.phases:
                    # Approximate times of the finished phases; `StepFinished` brings the exact ones.
                    last = step.phases[-1]
                    setattr(step, last.phase, getattr(step, last.phase) + max(0.0, event.at - last.at))
                step.state = event.phase
                step.attempts = event.attempt
                step.phases.append(PhaseStart(event.phase, event.attempt, event.at))
                step.phases_left_out += max(0, len(step.phases) - PHASES_KEPT)
                del step.phases[:-PHASES_KEPT]
            case StepWaiting():
                self._steps[event.step].waiting_for = event.reason
            case AttemptFailed():
                failures = self._steps[event.step].failures
                failures.append(Attempt(event.attempt, event.at, event.error))
                del failures[:-ATTEMPTS_KEPT]
            case StepChecked():
                step = self._steps[event.step]
                step.waiting_for = ""
                step.wanted = event.changes
                step.changes = event.changes or step.changes
            case StepFinished():
                self._finish(self._steps[event.step], event)
            case RunStarted():
                self._start(event)
            case LockWaiting() if self.record:
                self.record.lock_waiting_for = event.reason
            case LockAcquired() if self.record:
                self.record.lock_waited = event.waited
                self.record.lock_waiting_for = ""
            case RunFinished() if self.record:
                self.record.ended = event.at
                self.record.outcome = event.outcome
                self.record.reason = event.reason or self.record.reason
                self.record.hint = event.hint
            case MarkerPublished() if self.record:
                self.record.marker = event.path

    def _start(self, event: RunStarted) -> None:
        self.resume(
            Record(
                name=event.name,
                digest=event.digest,
                run_id=event.run_id,
                trace_id=event.span.trace_id,
                inithold=__version__,
                python=platform.python_version(),
                started=event.at,
                reason=event.reason,
                steps=[StepRecord(info.id, info.kind, info.needs, info.target) for info in event.steps],
                log=self.record.log if self.record else [],
                repair=event.repair,
            )
        )

    def _finish(self, step: StepRecord, event: StepFinished) -> None:
        step.state = event.outcome
        step.ended = event.at
        step.attempts = event.attempts
        step.probes = event.probes
        step.changes = event.changes
        step.wanted = () if event.outcome in ("unchanged", "changed") else step.wanted
        step.waiting = event.timing.waiting
        step.checking = event.timing.checking
        step.applying = event.timing.applying
        step.waiting_for = ""
        step.reason = event.reason
        step.hint = event.hint
        step.tolerated = event.tolerated
