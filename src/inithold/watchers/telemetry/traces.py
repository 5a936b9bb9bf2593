"""The spans of a run, made when it is over, with the ids and times they had."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from inithold.runner.events import (
    AttemptFailed,
    LockAcquired,
    LockWaiting,
    MarkerPublished,
    Span,
    StepFinished,
    StepWaiting,
)
from inithold.runner.user_telemetry import context_of
from inithold.watchers.telemetry.account import RunAccount, StepAccount
from inithold.watchers.telemetry.sdk import Sdk, nanoseconds

ROOT = "init.environment"
MOST_LINES = 100
"""How many change lines a span shows."""

Attributes = Mapping[str, str | int | float | Sequence[str]]


def record(sdk: Sdk, runs: Sequence[RunAccount]) -> None:
    """Make the spans of runs and of their steps."""
    for run in runs:
        root = _start(sdk, ROOT, run.span, _parent(run.span), run.started.at)
        inside = set_span_in_context(root, Context())
        for step in run.steps:
            _record_step(sdk, step, inside)
        _describe_run(root, run)
        root.end(nanoseconds(max(run.started.at, run.ended_at)))


def _record_step(sdk: Sdk, step: StepAccount, inside: Context) -> None:
    name = f"init.{step.info.id}"
    span = _start(sdk, name, step.span, inside, step.started_at)
    span.set_attributes(_of_plan(step))
    for note in step.notes:
        if isinstance(note, AttemptFailed) and step.finished and note.error == step.finished.reason:
            continue  # the last one: it is the exception below
        at, attributes = nanoseconds(note.at), _of_note(note)
        span.add_event("init.waiting" if isinstance(note, StepWaiting) else "init.attempt.failed", attributes, at)
    ended = step.started_at
    if step.finished is not None:
        ended = max(ended, step.finished.at)
        _describe_step(span, step.finished)
    span.end(nanoseconds(ended))


def record_of_user_code(sdk: Sdk, fields: Mapping[str, Any]) -> None:
    """Make a span again that user code made.

    Args:
        sdk: that makes it.
        fields: as `runner.user_telemetry.span_fields` made them.
    """
    scope = fields["scope"]
    tracer = sdk.tracer_provider.get_tracer(scope["name"], scope.get("version"), scope.get("schema_url"))
    parent = Context()
    if fields["parent_id"]:
        parent = context_of(Span(fields["trace_id"], fields["parent_id"]), trace_state=fields["trace_state"])
    links = [
        Link(SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False), attributes)
        for trace_id, span_id, attributes in fields["links"]
    ]
    with sdk.ids.prepared(fields["trace_id"], fields["span_id"]):
        span = tracer.start_span(
            fields["name"], parent, SpanKind[fields["kind"]], fields["attributes"], links, fields["start"]
        )
    for name, attributes, at in fields["events"]:
        span.add_event(name, attributes, at)
    code, description = fields["status"]
    if code != "UNSET":
        span.set_status(Status(StatusCode[code], description))
    span.end(fields["end"])


def _start(sdk: Sdk, name: str, span: Span | None, parent: Context, at: float) -> OtelSpan:
    if span is None:
        return sdk.tracer.start_span(name, parent, start_time=nanoseconds(at))
    with sdk.ids.prepared(span.trace_id, span.span_id):
        return sdk.tracer.start_span(name, parent, start_time=nanoseconds(at))


def _parent(span: Span) -> Context:
    if not span.parent_id:
        return Context()
    parent = Span(span.trace_id, span.parent_id, sampled=span.sampled)
    return context_of(parent, remote=True, trace_state=os.environ.get("TRACESTATE", ""))


def _describe_run(root: OtelSpan, run: RunAccount) -> None:
    finished = [step.finished for step in run.steps if step.finished]
    root.set_attributes(
        {
            "init.plan.name": run.started.name,
            "init.plan.digest": run.started.digest,
            "init.run.id": run.started.run_id,
            "init.steps": len(run.started.steps),
            "init.changes": sum(len(step.changes) for step in finished),
        }
    )
    if run.started.repair:
        root.set_attribute("init.repair", run.started.repair)
    for note in run.notes:
        if isinstance(note, LockWaiting):
            root.add_event("init.lock.waiting", {"init.reason": note.reason}, nanoseconds(note.at))
        elif isinstance(note, LockAcquired):
            root.add_event("init.lock.acquired", {"init.lock.waited": note.waited}, nanoseconds(note.at))
        elif isinstance(note, MarkerPublished):
            root.add_event("init.marker.published", {"init.marker.path": note.path}, nanoseconds(note.at))
    if run.finished is None:
        return
    root.set_attribute("init.outcome", run.finished.outcome)
    if run.finished.reason:
        root.set_attribute("init.reason", run.finished.reason)
    if run.finished.outcome == "failed":
        root.set_status(Status(StatusCode.ERROR, run.finished.reason))


def _of_plan(step: StepAccount) -> Attributes:
    attributes: dict[str, str] = {"init.step.id": step.info.id, "init.step.kind": step.info.kind}
    if step.info.target:
        attributes["init.step.target"] = step.info.target
    return attributes


def _of_note(note: StepWaiting | AttemptFailed) -> Attributes:
    reason = note.reason if isinstance(note, StepWaiting) else note.error
    return {"init.step.attempt": note.attempt, "init.reason": reason}


def _describe_step(span: OtelSpan, finished: StepFinished) -> None:
    span.set_attributes(
        {
            "init.outcome": finished.outcome,
            "init.step.attempts": finished.attempts,
            "init.step.waiting": finished.timing.waiting,
            "init.step.checking": finished.timing.checking,
            "init.step.applying": finished.timing.applying,
            "init.changes": len(finished.changes),
        }
    )
    if finished.changes:
        span.set_attribute("init.change_lines", [str(change) for change in finished.changes[:MOST_LINES]])
    if finished.reason:
        span.set_attribute("init.reason", finished.reason)
    if finished.hint:
        span.set_attribute("init.hint", finished.hint)
    if finished.outcome == "failed":
        exception = {"exception.type": finished.exception or "StepFailed", "exception.message": finished.reason}
        span.add_event("exception", exception, nanoseconds(finished.at))
        span.set_status(Status(StatusCode.ERROR, finished.reason))
