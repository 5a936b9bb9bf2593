"""OpenTelemetry's providers, set up so that they collect and never send by themselves.

This module imports the SDK: it is imported when ready has been said, or when a step runs user code here.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, TypeVar

from opentelemetry import _logs, metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from inithold.runner.events import Span
from inithold.version import __version__
from inithold.watchers.telemetry.metrics import Readers
from inithold.watchers.telemetry.settings import Exporter

SCOPE = "inithold"
"""Name of the instrumentation scope of what inithold itself says."""
MOST_OF_USER_CODE = 10_000
"""How many spans and log records of user code are kept until they are sent; what follows is counted only."""

Item = TypeVar("Item")


class Kept(Generic[Item]):
    """Finished spans or log records, until they are taken."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._of_user_code = 0
        self.left_out = 0

    def add(self, item: Item, scope: str) -> None:
        if scope != SCOPE:
            if self._of_user_code >= MOST_OF_USER_CODE:
                self.left_out += 1
                return
            self._of_user_code += 1
        self._items.append(item)

    def take(self) -> list[Item]:
        """Everything so far, once."""
        taken, self._items = self._items, []
        self._of_user_code = 0
        return taken


class _KeepSpans(SpanProcessor):
    def __init__(self, kept: Kept[ReadableSpan]) -> None:
        self._kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._kept.add(span, span.instrumentation_scope.name if span.instrumentation_scope else "")


class _KeepLogs(LogRecordProcessor):
    def __init__(self, kept: Kept[Any]) -> None:
        self._kept = kept

    def on_emit(self, log_record: Any) -> None:
        scope = log_record.instrumentation_scope
        self._kept.add(_readable(log_record), scope.name if scope else "")

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
    """Gives a span the ids that the runner made for it; everything else gets random ones."""

    def __init__(self) -> None:
        self._prepared = threading.local()

    @contextmanager
    def prepared(self, span: Span) -> Iterator[None]:
        """While open, the spans that this thread starts are `span`."""
        self._prepared.span = span
        try:
            yield
        finally:
            self._prepared.span = None

    def generate_span_id(self) -> int:
        span: Span | None = getattr(self._prepared, "span", None)
        return int(span.span_id, 16) if span else super().generate_span_id()

    def generate_trace_id(self) -> int:
        span: Span | None = getattr(self._prepared, "span", None)
        return int(span.trace_id, 16) if span else super().generate_trace_id()


class Sdk:
    """The three providers.

    Args:
        exporters: what will be sent: each metric exporter reads the metrics for itself.
        plan: name of the plan.
        instance: `service.instance.id` where the variables give none; the SDK's own if empty.
    """

    def __init__(self, exporters: Sequence[Exporter], plan: str, instance: str = "") -> None:
        resource = _resource(plan, instance)
        self._signals = {exporter.signal for exporter in exporters}
        self.ids = PreparedIds()
        self.spans: Kept[ReadableSpan] = Kept()
        self.logs: Kept[Any] = Kept()
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self.ids)
        self.tracer_provider.add_span_processor(_KeepSpans(self.spans))
        self.logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(_KeepLogs(self.logs))
        self.readers = Readers([exporter for exporter in exporters if exporter.signal == "metrics"], resource)
        self.tracer = self.tracer_provider.get_tracer(SCOPE, __version__)
        self.logger = self.logger_provider.get_logger(SCOPE, __version__)
        self.meter = self.readers.provider.get_meter(SCOPE, __version__)
        self.foreign: list[Any] = []

    def serve_user_code(self) -> None:
        """Become the process's providers, except where user code has brought its own."""
        self._install("traces", trace.get_tracer_provider(), trace.set_tracer_provider, self.tracer_provider)
        self._install("metrics", metrics.get_meter_provider(), metrics.set_meter_provider, self.readers.provider)
        self._install("logs", _logs.get_logger_provider(), _logs.set_logger_provider, self.logger_provider)

    def _install(self, signal: str, present: Any, install: Any, own: Any) -> None:
        # The API answers with a proxy as long as nobody has set a provider.
        if not type(present).__name__.lstrip("_").startswith("Proxy"):
            if present is not own and hasattr(present, "force_flush"):
                self.foreign.append(present)
        elif signal in self._signals:
            install(own)


def span_context(span: Span, *, remote: bool = False) -> SpanContext:
    """A span of the runner's as OpenTelemetry knows it."""
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=remote, trace_flags=flags)


def context_of(span: Span) -> Context:
    """The context in which new spans are children of `span`."""
    return set_span_in_context(NonRecordingSpan(span_context(span)), Context())


@cache
def takes(function: Any, parameter: str) -> bool:
    """Whether a function of another version of the SDK has a parameter."""
    return parameter in inspect.signature(function).parameters


def nanoseconds(at: float) -> int:
    """Unix time in seconds as OpenTelemetry counts it."""
    return round(at * 1e9)


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
