"""Builds the record from events."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

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
from inithold.version import __version__


class Account:
    """The record so far; empty until a run has started."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self._steps: dict[str, StepRecord] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            LockWaiting: self._lock_waiting,
            LockAcquired: self._lock_acquired,
            StepStarted: self._step_started,
            PhaseChanged: self._phase_changed,
            StepWaiting: self._step_waiting,
            AttemptFailed: self._attempt_failed,
            StepChecked: self._step_checked,
            LogLine: self._log_line,
            StepFinished: self._step_finished,
            RunFinished: self._run_finished,
            MarkerPublished: self._marker_published,
        }

    def see(self, event: Event) -> None:
        """Take note of an event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def resume(self, record: Record) -> None:
        """Go on with the record of another process."""
        self.record = record
        self._steps = {step.id: step for step in record.steps}

    def close(self) -> None:
        """Nothing is held open."""

    def step(self, step_id: str) -> StepRecord:
        """The account of one step."""
        return self._steps[step_id]

    def _run_started(self, event: RunStarted) -> None:
        log = self.record.log if self.record else []
        self.record = Record(
            name=event.name,
            digest=event.digest,
            run_id=event.run_id,
            trace_id=event.span.trace_id,
            inithold=__version__,
            python=platform.python_version(),
            started=event.at,
            reason=event.reason,
            steps=[StepRecord(info.id, info.kind, info.needs, info.target) for info in event.steps],
            log=log,
            repair=event.repair,
        )
        self._steps = {step.id: step for step in self.record.steps}

    def _lock_waiting(self, event: LockWaiting) -> None:
        if self.record:
            self.record.lock_waiting_for = event.reason

    def _lock_acquired(self, event: LockAcquired) -> None:
        if self.record:
            self.record.lock_waited = event.waited
            self.record.lock_waiting_for = ""

    def _step_started(self, event: StepStarted) -> None:
        self._steps[event.step].started = event.at

    def _phase_changed(self, event: PhaseChanged) -> None:
        step = self._steps[event.step]
        _count_phase(step, event.at)
        step.state = event.phase
        step.attempts = event.attempt
        step.phases.append(PhaseStart(event.phase, event.attempt, event.at))
        step.phases_left_out += max(0, len(step.phases) - PHASES_KEPT)
        del step.phases[:-PHASES_KEPT]

    def _step_waiting(self, event: StepWaiting) -> None:
        self._steps[event.step].waiting_for = event.reason

    def _attempt_failed(self, event: AttemptFailed) -> None:
        failures = self._steps[event.step].failures
        failures.append(Attempt(event.attempt, event.at, event.error))
        del failures[:-ATTEMPTS_KEPT]

    def _step_checked(self, event: StepChecked) -> None:
        step = self._steps[event.step]
        step.waiting_for = ""
        step.wanted = event.changes
        if event.changes:
            step.changes = event.changes

    def _log_line(self, event: LogLine) -> None:
        if event.level == "debug":
            return
        if event.step in self._steps:
            step = self._steps[event.step]
            step.log.append(event.text)
            step.lines_left_out += max(0, len(step.log) - LINES_KEPT)
            del step.log[:-LINES_KEPT]
        elif self.record is not None:
            self.record.log.append(event.text)
            del self.record.log[:-LINES_KEPT]

    def _step_finished(self, event: StepFinished) -> None:
        step = self._steps[event.step]
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

    def _run_finished(self, event: RunFinished) -> None:
        if self.record:
            self.record.ended = event.at
            self.record.outcome = event.outcome
            self.record.reason = event.reason or self.record.reason
            self.record.hint = event.hint

    def _marker_published(self, event: MarkerPublished) -> None:
        if self.record:
            self.record.marker = event.path


def _count_phase(step: StepRecord, until: float) -> None:
    """Add what is over to the times of a step that runs; its end brings the exact ones."""
    if step.phases:
        last = step.phases[-1]
        setattr(step, last.phase, getattr(step, last.phase) + max(0.0, until - last.at))
