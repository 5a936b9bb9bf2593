"""The sender's OpenTelemetry providers, which only collect, and never send by themselves."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from opentelemetry import _logs as logs_api
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk import _logs as logs_sdk
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import TraceFlags, Tracer

from inithold.runner.events import Level, Span
from inithold.runner.otel_sdk import (
    context_of,
    log_processor,
    metric_reader,
    prefers_exponential,
    span_processor,
)
from inithold.version import __version__

SCOPE = "inithold"
"""Name of inithold's own instrumentation scope."""
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_BUCKETS = {
    "init.duration": _SECONDS,
    "init.step.duration": _SECONDS,
    "init.step.attempts": (1, 2, 3, 5, 10, 20, 50, 100, 500),
}
_SEVERITY: Mapping[Level, SeverityNumber] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}


class _Ids(RandomIdGenerator):
    """Generates the ids in `given`, or random ones if it is None."""

    given: Span | None = None

    def generate_trace_id(self) -> int:
        return int(self.given.trace_id, 16) if self.given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return int(self.given.span_id, 16) if self.given else super().generate_span_id()


class Sdk:
    """The three providers and the data they have collected.

    Args:
        plan: the plan's name.
        instance: `service.instance.id`, unless the variables set one; empty for the SDK's own.
    """

    def __init__(self, plan: str, instance: str = "") -> None:
        resource = Resource.create()
        # The SDK generates a new one in each process, and so for each check of a hold.
        if instance and f"{SERVICE_INSTANCE_ID}=" not in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, ""):
            resource = resource.merge(Resource({SERVICE_INSTANCE_ID: instance}))
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            named = {SERVICE_NAMESPACE: plan} if plan and SERVICE_NAMESPACE not in resource.attributes else {}
            resource = resource.merge(Resource({SERVICE_NAME: "init", **named}))
        self.resource = resource
        self.spans: list[Any] = []
        self.logs: list[Any] = []
        self.reader = metric_reader()
        self._ids = _Ids()
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
        self.tracer_provider.add_span_processor(span_processor(self.spans.append))
        self.logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(log_processor(self._keep_log))
        # The SDK's own buckets are milliseconds'; ours would override a wish for exponential ones.
        views = [
            View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(boundaries=boundaries))
            for name, boundaries in _BUCKETS.items()
            if not prefers_exponential()
        ]
        meter_provider = MeterProvider([self.reader], resource, shutdown_on_exit=False, views=views)
        self.meter = meter_provider.get_meter(SCOPE, __version__)
        self._tracer = self.tracer_provider.get_tracer(SCOPE, __version__)
        self._logger = self.logger_provider.get_logger(SCOPE, __version__)

    def _keep_log(self, record: Any) -> None:
        if hasattr(logs_sdk, "ReadableLogRecord"):
            # What exporters take since SDK 1.39; before that the very record that a processor gets.
            record = logs_sdk.ReadableLogRecord(
                log_record=record.log_record,
                resource=record.resource,
                instrumentation_scope=record.instrumentation_scope,
                limits=record.limits,
            )
        self.logs.append(record)

    def start_span(
        self,
        name: str,
        ids: Span | None,
        parent: Context,
        start: int,
        *,
        tracer: Tracer | None = None,
        **options: Any,
    ) -> OtelSpan:
        """Start a span.

        Args:
            name: of the span.
            ids: it gets these; random ones if None.
            parent: context of its parent.
            start: Unix time in nanoseconds.
            tracer: inithold's own if None.
            options: as `Tracer.start_span` takes them.
        """
        self._ids.given = ids
        return (tracer or self._tracer).start_span(name, parent, start_time=start, **options)

    def log(self, at: float, level: Level, text: str, span: Span | None, attributes: Mapping[str, Any]) -> None:
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
        self._logger.emit(self.log_record(fields, span))

    def log_record(self, fields: Mapping[str, Any], span: Span | None) -> Any:
        """A log record that belongs to `span`, of the class that this version's loggers take."""
        context = context_of(span) if span else None
        if not hasattr(logs_sdk, "LogRecord"):
            return logs_api.LogRecord(**fields, context=context)
        # Until SDK 1.38 the record had to be the SDK's own.
        if takes(logs_sdk.LogRecord.__init__, "context"):
            return logs_sdk.LogRecord(**fields, context=context, resource=self.resource)
        # Before 1.35 the context came in pieces.
        ids = {
            "trace_id": int(span.trace_id, 16) if span else 0,
            "span_id": int(span.span_id, 16) if span else 0,
            "trace_flags": TraceFlags(int(span.sampled) if span else 0),
        }
        return logs_sdk.LogRecord(**fields, **ids, resource=self.resource)


@cache
def takes(function: Any, parameter: str) -> bool:
    """Whether a function has a parameter in this version of the SDK."""
    return parameter in inspect.signature(function).parameters
