"""OpenTelemetry's providers in the sender, set up so that they collect and never send by themselves."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from inithold.runner.user_telemetry import metric_reader, prefers_exponential
from inithold.version import __version__

SCOPE = "inithold"
"""Name of the instrumentation scope of what inithold itself says."""
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_ATTEMPTS = (1, 2, 3, 5, 10, 20, 50, 100, 500)
_BUCKETS: Mapping[str, Sequence[float]] = {
    "init.duration": _SECONDS,
    "init.step.duration": _SECONDS,
    "init.step.attempts": _ATTEMPTS,
}


class _KeepSpans(SpanProcessor):
    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._kept.append(span)


class _KeepLogs(LogRecordProcessor):
    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def on_emit(self, log_record: Any) -> None:
        self._kept.append(_readable(log_record))

    emit = on_emit  # its name before SDK 1.35

    def shutdown(self) -> None:
        """There is nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
        return True


def _readable(record: Any) -> Any:
    """What exporters take: since SDK 1.39 a record of its own class, before that the very one a processor gets."""
    try:
        from opentelemetry.sdk._logs import ReadableLogRecord  # noqa: PLC0415 - not in every version
    except ImportError:
        return record
    return ReadableLogRecord(
        log_record=record.log_record,
        resource=record.resource,
        instrumentation_scope=record.instrumentation_scope,
        limits=record.limits,
    )


class PreparedIds(RandomIdGenerator):
    """Gives a span the ids that it has already; everything else gets random ones."""

    def __init__(self) -> None:
        self._prepared: tuple[str, str] | None = None

    @contextmanager
    def prepared(self, trace_id: str, span_id: str) -> Iterator[None]:
        """While open, spans that are started get these ids."""
        self._prepared = (trace_id, span_id)
        try:
            yield
        finally:
            self._prepared = None

    def generate_trace_id(self) -> int:
        return int(self._prepared[0], 16) if self._prepared else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return int(self._prepared[1], 16) if self._prepared else super().generate_span_id()


class Sdk:
    """The three providers, and what they have collected.

    Args:
        plan: name of the plan.
        instance: `service.instance.id` where the variables give none; the SDK's own if empty.
    """

    def __init__(self, plan: str, instance: str = "") -> None:
        self.resource = _resource(plan, instance)
        self.ids = PreparedIds()
        self.spans: list[Any] = []
        self.logs: list[Any] = []
        self.reader = metric_reader()
        self.tracer_provider = TracerProvider(
            resource=self.resource, shutdown_on_exit=False, id_generator=self.ids
        )
        self.tracer_provider.add_span_processor(_KeepSpans(self.spans))
        self.logger_provider = LoggerProvider(resource=self.resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(_KeepLogs(self.logs))
        # The SDK's own buckets are milliseconds'; ours would override a wish for exponential ones.
        views = [] if prefers_exponential() else [_view(name) for name in _BUCKETS]
        meter_provider = MeterProvider([self.reader], self.resource, shutdown_on_exit=False, views=views)
        self.tracer = self.tracer_provider.get_tracer(SCOPE, __version__)
        self.logger = self.logger_provider.get_logger(SCOPE, __version__)
        self.meter = meter_provider.get_meter(SCOPE, __version__)


@cache
def takes(function: Any, parameter: str) -> bool:
    """Whether a function of another version of the SDK has a parameter."""
    return parameter in inspect.signature(function).parameters


def nanoseconds(at: float) -> int:
    """Unix time in seconds as OpenTelemetry counts it."""
    return round(at * 1e9)


def _view(name: str) -> View:
    return View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(boundaries=_BUCKETS[name]))


def _resource(plan: str, instance: str) -> Resource:
    resource = Resource.create()
    # The SDK's own is another one in each process: of a hold, one for each of its checks.
    if instance and f"{SERVICE_INSTANCE_ID}=" not in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, ""):
        resource = resource.merge(Resource({SERVICE_INSTANCE_ID: instance}))
    if not str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return resource
    own: dict[str, str] = {SERVICE_NAME: "init"}
    if plan and SERVICE_NAMESPACE not in resource.attributes:
        own[SERVICE_NAMESPACE] = plan
    return resource.merge(Resource(own))
