"""The log of a run as log records, each in the trace it belongs to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber

from inithold.runner.events import Level, LockWaiting, LogLine, RunFinished, StepFinished, StepWaiting
from inithold.text.duration import spoken
from inithold.watchers.telemetry.account import Said
from inithold.watchers.telemetry.sdk import Sdk, context_of, nanoseconds, span_context, takes

_SEVERITY: dict[Level, SeverityNumber] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}
_OUTCOME: dict[str, Level] = {"failed": "error", "cancelled": "warning"}


def record(sdk: Sdk, said: Iterable[Said]) -> None:
    """Make a log record of each line and each outcome."""
    for event, span in said:
        level, text, attributes = _told(event)
        at = nanoseconds(event.at)
        fields = {
            "timestamp": at,
            "observed_timestamp": at,
            "severity_number": _SEVERITY[level],
            "severity_text": _SEVERITY[level].name,
            "body": text,
            "attributes": attributes,
        }
        sdk.logger.emit(_record(sdk, fields, span))


def left_out(sdk: Sdk, count: int, what: str) -> None:
    """Say that something was not kept."""
    text = f"{count} {what} were left out: more than telemetry keeps until it is sent"
    now = time.time_ns()
    fields = {
        "timestamp": now,
        "observed_timestamp": now,
        "severity_number": SeverityNumber.WARN,
        "severity_text": "WARN",
        "body": text,
        "attributes": {},
    }
    sdk.logger.emit(_record(sdk, fields, None))


def _record(sdk: Sdk, fields: dict[str, Any], span: Any) -> Any:
    if takes(LogRecord.__init__, "context"):
        return LogRecord(**fields, context=context_of(span) if span else None)
    # Before 1.35 the context came in pieces, and the record had to be the SDK's own.
    from opentelemetry.sdk._logs import LogRecord as SdkLogRecord  # type: ignore[attr-defined] # noqa: PLC0415

    if span:
        ids = span_context(span)
        fields = fields | {"trace_id": ids.trace_id, "span_id": ids.span_id, "trace_flags": ids.trace_flags}
    else:
        fields = fields | {"trace_id": 0, "span_id": 0, "trace_flags": 0}
    return SdkLogRecord(**fields, resource=sdk.logger_provider.resource)


def _told(
    event: StepWaiting | LockWaiting | LogLine | StepFinished | RunFinished,
) -> tuple[Level, str, dict[str, Any]]:
    if isinstance(event, LogLine):
        return event.level, event.text, {"init.step.id": event.step} if event.step else {}
    if isinstance(event, LockWaiting):
        return "info", f"waiting for the lock: {event.reason}", {}
    if isinstance(event, RunFinished):
        text = f"{event.outcome} in {spoken(event.duration)}" + (f": {event.reason}" if event.reason else "")
        return _OUTCOME.get(event.outcome, "info"), text, {"init.outcome": event.outcome}
    if isinstance(event, StepWaiting):
        return "info", f"waiting: {event.reason}", {"init.step.id": event.step}
    text = event.outcome + (f": {event.reason}" if event.reason else "")
    level: Level = "warning" if event.tolerated else _OUTCOME.get(event.outcome, "info")
    return level, text, {"init.step.id": event.step, "init.outcome": event.outcome}
