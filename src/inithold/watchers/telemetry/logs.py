"""The log of a run as log records, each in the trace it belongs to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import TraceFlags

from inithold.runner.events import Level, LockWaiting, LogLine, RunFinished, Span, StepFinished, StepWaiting
from inithold.runner.user_telemetry import context_of
from inithold.text.duration import spoken
from inithold.watchers.telemetry.account import LogEntry
from inithold.watchers.telemetry.sdk import Sdk, nanoseconds, takes

_SEVERITY: dict[Level, SeverityNumber] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}
_OUTCOME: dict[str, Level] = {"failed": "error", "cancelled": "warning"}


def record(sdk: Sdk, entries: Iterable[LogEntry]) -> None:
    """Make a log record of each line and each outcome."""
    for event, span in entries:
        level, text, attributes = _described(event)
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


def left_out(sdk: Sdk, count: int) -> None:
    """Say how many log lines were not kept."""
    text = f"{count} log lines were left out: more than telemetry keeps until it is sent"
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


def record_of_user_code(sdk: Sdk, fields: dict[str, Any]) -> None:
    """Make a log record again that user code made.

    Args:
        sdk: that makes it.
        fields: as `runner.user_telemetry.log_fields` made them.
    """
    scope = fields.pop("scope")
    severity = fields.pop("severity_number")
    span = Span(fields.pop("trace_id"), fields.pop("span_id"), sampled=fields.pop("sampled"))
    if not takes(LogRecord.__init__, "event_name"):
        del fields["event_name"]
    fields["severity_number"] = None if severity is None else SeverityNumber(severity)
    logger = sdk.logger_provider.get_logger(scope["name"], scope.get("version"), scope.get("schema_url"))
    logger.emit(_record(sdk, fields, span if int(span.span_id, 16) else None))


def _record(sdk: Sdk, fields: dict[str, Any], span: Span | None) -> Any:
    try:
        # Until 1.38 the record had to be the SDK's own.
        from opentelemetry.sdk._logs import LogRecord as SdkLogRecord  # type: ignore[attr-defined] # noqa: PLC0415
    except ImportError:
        return LogRecord(**fields, context=context_of(span) if span else None)
    if takes(SdkLogRecord.__init__, "context"):
        return SdkLogRecord(**fields, context=context_of(span) if span else None, resource=sdk.resource)
    # Before 1.35 the context came in pieces.
    ids = {
        "trace_id": int(span.trace_id, 16) if span else 0,
        "span_id": int(span.span_id, 16) if span else 0,
        "trace_flags": TraceFlags(int(span.sampled) if span else 0),
    }
    return SdkLogRecord(**fields, **ids, resource=sdk.resource)


def _described(
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
