"""The sender's provider of log records, which only collects, too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from opentelemetry import _logs as logs_api
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk import _logs as logs_sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import TraceFlags

from inithold.runner.events import Level, Span
from inithold.runner.otel_sdk import context_of, log_processor
from inithold.version import __version__
from inithold.watchers.telemetry.sdk import SCOPE

_SEVERITY: Mapping[Level, SeverityNumber] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}


class Logs:
    """Makes log records.

    Args:
        resource: that they are of.
        take: gets each one as exporters take it.
    """

    def __init__(self, resource: Resource, take: Callable[[Any], object]) -> None:
        self.provider = logs_sdk.LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_log_record_processor(log_processor(self._keep))
        self._resource = resource
        self._take = take
        self._logger = self.provider.get_logger(SCOPE, __version__)

    def _keep(self, record: Any) -> None:
        if hasattr(logs_sdk, "ReadableLogRecord"):
            # What exporters take since SDK 1.39; before that the very record that a processor gets.
            record = logs_sdk.ReadableLogRecord(
                log_record=record.log_record,
                resource=record.resource,
                instrumentation_scope=record.instrumentation_scope,
                limits=record.limits,
            )
        self._take(record)

    def emit(self, at: float, level: Level, text: str, span: Span | None, attributes: Mapping[str, Any]) -> None:
        """Emit a log record.

        Args:
            at: Unix time in seconds.
            level: becomes its severity.
            text: its body.
            span: that it belongs to.
            attributes: of the record.
        """
        fields = {
            "timestamp": round(at * 1e9),
            "observed_timestamp": round(at * 1e9),
            "severity_number": _SEVERITY[level],
            "severity_text": _SEVERITY[level].name,
            "body": text,
            "attributes": attributes,
        }
        self._logger.emit(self.record(fields, span))

    def record(self, fields: Mapping[str, Any], span: Span | None) -> Any:
        """A log record that belongs to `span`, of the class that this version's loggers take."""
        context = context_of(span) if span else None
        if not hasattr(logs_sdk, "LogRecord"):
            return logs_api.LogRecord(**fields, context=context)
        # Until SDK 1.38 the record had to be the SDK's own.
        if takes(logs_sdk.LogRecord.__init__, "context"):
            return logs_sdk.LogRecord(**fields, context=context, resource=self._resource)
        # Before 1.35 the context came in pieces.
        ids = {
            "trace_id": int(span.trace_id, 16) if span else 0,
            "span_id": int(span.span_id, 16) if span else 0,
            "trace_flags": TraceFlags(int(span.sampled) if span else 0),
        }
        return logs_sdk.LogRecord(**fields, **ids, resource=self._resource)


@cache
def takes(function: Any, parameter: str) -> bool:
    """Whether a function has a parameter in this version of the SDK."""
    return parameter in inspect.signature(function).parameters
