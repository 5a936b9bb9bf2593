"""Converts a run's events to spans, metrics and log records after the run, with their original ids and times."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from inithold.runner.events import (
    AttemptFailed,
    Event,
    FromUserCode,
    Level,
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
from inithold.runner.otel_sdk import context_of
from inithold.text.duration import spoken
from inithold.watchers.telemetry.sdk import Sdk

MOST_LINES = 100
"""Most change lines in a span."""
_OUTCOME: dict[str, Level] = {"failed": "error", "cancelled": "warning"}


def record(events: Sequence[Event], instance: str, dropped: int) -> tuple[list[Any], list[Any], list[MetricsData]]:
    """Create the spans, log records and metrics of one process.

    Args:
        events: its events, in order.
        instance: `service.instance.id`, unless the variables set one.
        dropped: how many log lines are missing.
    """
    plan = next((event.name for event in reversed(events) if isinstance(event, RunStarted | Verified)), "")
    sdk = Sdk(plan, instance)
    of_user_code = []
    masked = 0
    signals = _Signals(sdk, next((event.span for event in events if isinstance(event, RunStarted)), None))
    for event in events:
        if not isinstance(event, FromUserCode):
            signals.see(event)
            continue
        try:
            items = json.loads(event.body)
        except ValueError:
            # A number in it is a secret, and was masked.
            masked += 1
            continue
        if event.signal == "metrics":
            of_user_code.append(items)
        else:
            from inithold.watchers.telemetry.user_code import add_log_record, add_span  # noqa: PLC0415 - few have it

            make = add_span if event.signal == "traces" else add_log_record
            for fields in items:
                make(sdk, fields)
    signals.end_run()
    if masked:
        text = f"{masked} parts of user code's telemetry were left out: a number in them is a secret"
        sdk.logs.emit(time.time(), "warning", text, None, {})
    if dropped:
        text = f"{dropped} log lines were left out: more than telemetry keeps until it is sent"
        sdk.logs.emit(time.time(), "warning", text, None, {})
    if verified := [event for event in events if isinstance(event, Verified)]:
        ready = sdk.meter.create_gauge("init.ready", "", "Whether the environment was in place when last verified")
        ready.set(int(verified[-1].holds))
    own = sdk.reader.get_metrics_data()
    measured = [own] if own else []
    if of_user_code:
        from inithold.watchers.telemetry.user_code import metrics  # noqa: PLC0415 - as above

        measured += metrics(sdk, of_user_code)
    return sdk.spans, sdk.log_records, measured


class _Step:
    """A step of the run. One that never started has no ids, and a span of zero length."""

    def __init__(self, info: PlannedStepInfo, ids: Span | None, span: OtelSpan, started: float) -> None:
        self.info = info
        self.ids = ids
        self.span = span
        self.started = started
        self.failed: AttemptFailed | None = None
        self.finished = False


class _Signals:
    """Processes the events in order.

    Args:
        sdk: creates and collects spans, log records and metrics.
        first: the first run's span, to which earlier log lines belong, too.
    """

    def __init__(self, sdk: Sdk, first: Span | None) -> None:
        self._sdk = sdk
        self._ids = first
        self._run: RunStarted | None = None
        self._ended = 0.0
        meter = sdk.meter
        self._duration = meter.create_histogram("init.duration", "s", "Time from the start of a run to its end")
        self._runs = meter.create_counter("init.runs", "{run}", "Runs by outcome")
        self._step_duration = meter.create_histogram(
            "init.step.duration", "s", "Time from the start of a step to its end"
        )
        self._attempts = meter.create_histogram("init.step.attempts", "{attempt}", "Attempts that a step took")

    def see(self, event: Event) -> None:
        if isinstance(event, LogLine):
            # Log lines after the end, such as a warning about the record, do not extend the run's span.
            step = self._steps.get(event.step or "") if self._run else None
            attributes = {"init.step.id": event.step} if event.step else {}
            self._sdk.logs.emit(event.at, event.level, event.text, (step and step.ids) or self._ids, attributes)
        elif isinstance(event, RunStarted):
            # A run that starts over because its lock was lost keeps its span.
            if self._run is None or self._run.span != event.span:
                self.end_run()
                self._start_run(event)
        elif self._run is not None and not isinstance(event, Verified):
            self._ended = max(self._ended, event.at)
            self._see_in_run(event, self._run)

    def _see_in_run(self, event: Event, run: RunStarted) -> None:
        match event:
            case RunFinished():
                self._finish_run(event, run)
            case LockWaiting():
                _add_event(self._root, "init.lock.waiting", event.at, {"init.reason": event.reason})
                self._sdk.logs.emit(event.at, "info", f"waiting for the lock: {event.reason}", run.span, {})
            case LockAcquired():
                _add_event(self._root, "init.lock.acquired", event.at, {"init.lock.waited": event.waited})
            case MarkerPublished():
                _add_event(self._root, "init.marker.published", event.at, {"init.marker.path": event.path})
            case StepStarted():
                self._begin_step(event.step, event.span, event.at)
            case StepFinished():
                step = self._steps.get(event.step)
                if step is None or step.finished:
                    step = self._begin_step(event.step, None, event.at)
                self._finish_step(step, event)
            case StepWaiting() | AttemptFailed() if step := self._steps.get(event.step):
                _add_failed(step)
                if isinstance(event, AttemptFailed):
                    step.failed = event
                    return
                attributes = {"init.step.attempt": event.attempt, "init.reason": event.reason}
                _add_event(step.span, "init.waiting", event.at, attributes)
                text = f"waiting: {event.reason}"
                self._sdk.logs.emit(event.at, "info", text, step.ids, {"init.step.id": event.step})

    def _start_run(self, run: RunStarted) -> None:
        self._run = run
        self._ids = run.span
        self._ended = run.at
        self._changes = 0
        self._steps: dict[str, _Step] = {}
        parent = Context()
        if run.span.parent_id:
            caller = Span(run.span.trace_id, run.span.parent_id, sampled=run.span.sampled)
            parent = context_of(caller, remote=True, trace_state=os.environ.get("TRACESTATE", ""))
        self._root = self._sdk.start_span("init.environment", run.span, parent, _nanoseconds(run.at))
        self._inside = set_span_in_context(self._root, Context())
        self._root.set_attributes(
            {
                "init.plan.name": run.name,
                "init.plan.digest": run.digest,
                "init.run.id": run.run_id,
                "init.steps": len(run.steps),
                **({"init.repair": run.repair} if run.repair else {}),
            }
        )

    def _finish_run(self, event: RunFinished, run: RunStarted) -> None:
        outcome = {"init.outcome": event.outcome}
        self._root.set_attributes({**outcome, **({"init.reason": event.reason} if event.reason else {})})
        if event.outcome == "failed":
            self._root.set_status(Status(StatusCode.ERROR, event.reason))
        text = f"{event.outcome} in {spoken(event.duration)}" + (f": {event.reason}" if event.reason else "")
        self._sdk.logs.emit(event.at, _OUTCOME.get(event.outcome, "info"), text, run.span, outcome)
        if not run.repair:  # a repair runs only part of the plan, so its duration would distort the metrics
            self._duration.record(event.duration, outcome)
            self._runs.add(1, outcome)

    def end_run(self) -> None:
        """End the spans of the current run, if there is one."""
        if self._run is None:
            return
        for step in self._steps.values():
            if not step.finished:
                _add_failed(step)
                step.span.end(_nanoseconds(step.started))
        self._root.set_attribute("init.changes", self._changes)
        self._root.end(_nanoseconds(self._ended))

    def _begin_step(self, name: str, ids: Span | None, at: float) -> _Step:
        known = [info for info in self._run.steps if info.id == name] if self._run else []
        info = known[0] if known else PlannedStepInfo(name, "", ())
        span = self._sdk.start_span(f"init.{name}", ids, self._inside, _nanoseconds(at))
        target = {"init.step.target": info.target} if info.target else {}
        span.set_attributes({"init.step.id": info.id, "init.step.kind": info.kind, **target})
        step = self._steps[name] = _Step(info, ids, span, at)
        return step

    def _finish_step(self, step: _Step, event: StepFinished) -> None:
        assert self._run is not None  # noqa: S101 - for the type checker
        step.finished = True
        self._changes += len(event.changes)
        attributes = {
            "init.step.id": step.info.id,
            "init.step.kind": step.info.kind,
            "init.outcome": event.outcome,
        }
        if step.failed and step.failed.error == event.reason:
            step.failed = None  # the `exception` event below says the same
        _add_failed(step)
        step.span.set_attributes(
            {
                "init.outcome": event.outcome,
                "init.step.attempts": event.attempts,
                "init.step.waiting": event.timing.waiting,
                "init.step.checking": event.timing.checking,
                "init.step.applying": event.timing.applying,
                "init.changes": len(event.changes),
            }
        )
        if event.changes:
            step.span.set_attribute("init.change_lines", [str(change) for change in event.changes[:MOST_LINES]])
        if event.reason:
            step.span.set_attribute("init.reason", event.reason)
        if event.hint:
            step.span.set_attribute("init.hint", event.hint)
        if event.outcome == "failed":
            exception = {"exception.type": event.exception or "StepFailed", "exception.message": event.reason}
            _add_event(step.span, "exception", event.at, exception)
            step.span.set_status(Status(StatusCode.ERROR, event.reason))
        step.span.end(_nanoseconds(max(step.started, event.at)))
        if step.ids:  # a step that never started has neither duration nor attempts
            self._step_duration.record(max(0.0, event.at - step.started), attributes)
            self._attempts.record(event.attempts, attributes)
        level = "warning" if event.tolerated else _OUTCOME.get(event.outcome, "info")
        text = event.outcome + (f": {event.reason}" if event.reason else "")
        of_log = {"init.step.id": event.step, "init.outcome": event.outcome}
        self._sdk.logs.emit(event.at, level, text, step.ids or self._run.span, of_log)


def _add_event(span: OtelSpan, name: str, at: float, attributes: dict[str, Any]) -> None:
    span.add_event(name, attributes, _nanoseconds(at))


def _add_failed(step: _Step) -> None:
    """Add the delayed event of a failed attempt: the last attempt's may be replaced by the step's exception."""
    if failed := step.failed:
        attributes = {"init.step.attempt": failed.attempt, "init.reason": failed.error}
        _add_event(step.span, "init.attempt.failed", failed.at, attributes)
        step.failed = None


def _nanoseconds(at: float) -> int:
    return round(at * 1e9)
