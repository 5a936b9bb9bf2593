"""OpenTelemetry of the user's code: made children of the step's span, and handed to the sender when finished.

Nothing here talks to a collector, and the SDK is loaded only in a process whose user code imports OpenTelemetry:
the API's modules that hold the providers are watched for. A provider that the user's code has set itself is left
alone, and flushed at the end, since the process is replaced or ended without its exit handlers.

What is handed over is an event `FromUserCode`, whose body is a list in JSON: of spans (`span_fields`), of log
records (`log_fields`) or of the SDK's `ScopeMetrics`, each object as its fields and its class's name (`packed`).
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import Lock, Thread, get_ident
from types import ModuleType
from typing import TYPE_CHECKING, Any

from inithold.runner.events import FromUserCode, Span, TelemetrySignal

if TYPE_CHECKING:
    from opentelemetry.context import Context

MOST_ITEMS = 10_000
"""How many spans and log records a process hands over; what follows is only counted."""
_HOLDERS = ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")
"""Whoever makes spans, metrics or log records imports one of these first."""
_ATTACHED: ContextVar[Any] = ContextVar("_ATTACHED", default=None)
"""What gives a step's span back where one was attached: OpenTelemetry's token."""

Emit = Callable[[FromUserCode], object]


class UserTelemetry:
    """Hands over what user code in this process makes.

    Args:
        signals: those that are exported; of the others no provider is installed.
        emit: takes each event; called from any thread.
        on_warning: told, once, that the SDK cannot be used.
        at_once: whether to load the SDK with the first user code, since several threads of it may come to import
            OpenTelemetry: one cannot give another its span.
    """

    def __init__(
        self,
        signals: Collection[TelemetrySignal],
        emit: Emit,
        on_warning: Callable[[str], object],
        *,
        at_once: bool = False,
    ) -> None:
        self._at_once = at_once
        self.signals = signals
        self._emit = emit
        self._on_warning = on_warning
        self._lock = Lock()
        self._providers: _Providers | None = None
        self._broken = False
        self._items = 0

    @contextmanager
    def scope(self, span: Span) -> Iterator[None]:
        """While open, spans and log records that this thread makes belong to `span`.

        Where OpenTelemetry has not been imported yet, that begins in the thread that imports it.
        """
        outer = _ATTACHED.set(None)
        finder = _Finder(lambda: self._attach(span))
        if self._at_once or any(name in sys.modules for name in _HOLDERS):
            self._attach(span)
        else:
            sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
            # Not there where it was attached inside an asyncio task: that context is gone with the task.
            if (token := _ATTACHED.get()) is not None:
                from opentelemetry.context import detach  # noqa: PLC0415 - loaded by then

                detach(token)
            _ATTACHED.reset(outer)

    def finish(self, seconds: float) -> Callable[[], str | None]:
        """Hand over the metrics, and begin to flush providers of the user's own.

        Args:
            seconds: how long such a flush may take.

        Returns:
            waits for the flush, and answers with one line where it failed or did not end.
        """
        if (left_out := self._items - MOST_ITEMS) > 0:
            self._on_warning(
                f"{left_out} spans and log records of user code were left out: more than telemetry takes of a run"
            )
        if self._providers is None:
            return lambda: None
        if metrics := self._providers.metrics():
            self._hand_over("metrics", metrics)
        return _flushing(self._providers.foreign, seconds)

    def hand_over(self, signal: TelemetrySignal, item: Any) -> None:
        """Hand over one finished span or log record."""
        with self._lock:
            self._items += 1
            if self._items > MOST_ITEMS:
                return
        self._hand_over(signal, [item])

    def _hand_over(self, signal: TelemetrySignal, items: Sequence[Any]) -> None:
        self._emit(FromUserCode(signal=signal, body=json.dumps(items, default=_plain)))

    def _attach(self, span: Span) -> None:
        try:
            # Without the lock: another thread may hold that of a module which this imports.
            import_sdk()
            with self._lock:
                if self._providers is None and not self._broken:
                    self._providers = _Providers(self.signals, self.hand_over)
        except Exception as error:  # noqa: BLE001 - telemetry must not stop the user's code
            self._broken = True
            self._on_warning(f"OpenTelemetry cannot be loaded: {type(error).__name__}: {error}")
        if self._broken:
            return
        from opentelemetry.context import attach  # noqa: PLC0415 - loaded by then

        _ATTACHED.set(attach(context_of(span)))


# -- the SDK's providers


class _Providers:
    """The SDK's providers, installed where user code has brought none of its own."""

    def __init__(
        self, signals: Collection[TelemetrySignal], hand_over: Callable[[TelemetrySignal, Any], None]
    ) -> None:
        from opentelemetry import _logs, metrics, trace  # noqa: PLC0415 - only where user code does so
        from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor  # noqa: PLC0415
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider  # noqa: PLC0415

        class Spans(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                if span.context is not None and span.context.trace_flags.sampled:
                    hand_over("traces", span_fields(span))

        class Logs(LogRecordProcessor):
            def on_emit(self, log_record: Any) -> None:
                hand_over("logs", log_fields(log_record))

            emit = on_emit  # its name before SDK 1.35

            def shutdown(self) -> None:
                """There is nothing to shut down."""

            def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
                return True

        self._reader = metric_reader()
        self.foreign: list[Any] = []
        tracer_provider = TracerProvider(shutdown_on_exit=False)
        tracer_provider.add_span_processor(Spans())
        logger_provider = LoggerProvider(shutdown_on_exit=False)
        logger_provider.add_log_record_processor(Logs())
        meter_provider = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        ours: tuple[tuple[TelemetrySignal, Any, Callable[[Any], None], Any], ...] = (
            ("traces", trace.get_tracer_provider(), trace.set_tracer_provider, tracer_provider),
            ("metrics", metrics.get_meter_provider(), metrics.set_meter_provider, meter_provider),
            ("logs", _logs.get_logger_provider(), _logs.set_logger_provider, logger_provider),
        )
        for signal, present, install, own in ours:
            # The API answers with a proxy as long as nobody has set a provider.
            if not type(present).__name__.lstrip("_").startswith("Proxy"):
                if hasattr(present, "force_flush"):
                    self.foreign.append(present)
            elif signal in signals:
                install(own)

    def metrics(self) -> list[Any]:
        """All that was measured."""
        data: Any = self._reader.get_metrics_data()
        return (
            [packed(scope) for resource in data.resource_metrics for scope in resource.scope_metrics]
            if data
            else []
        )


def import_sdk() -> None:
    """Import what `_Providers` needs."""
    for name in ("trace", "metrics", "_logs"):
        import_module(f"opentelemetry.{name}")
        import_module(f"opentelemetry.sdk.{name}")


def metric_reader() -> Any:
    """The SDK's reader, with the preferences that the `OTEL_EXPORTER_OTLP_METRICS_*` variables give."""
    from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter  # noqa: PLC0415 - as above
    from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation  # noqa: PLC0415

    delta = {"delta": (Counter, ObservableCounter, Histogram), "lowmemory": (Counter, Histogram)}
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    return InMemoryMetricReader(
        preferred_temporality=dict.fromkeys(delta.get(preference, ()), AggregationTemporality.DELTA),
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()}
        if prefers_exponential()
        else {},
    )


def prefers_exponential() -> bool:
    """Whether histograms are to have exponential buckets."""
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "")
    return preference.strip().lower() == "base2_exponential_bucket_histogram"


def context_of(span: Span, *, remote: bool = False, trace_state: str = "") -> Context:
    """OpenTelemetry's context in which new spans are children of `span`.

    Args:
        span: the parent.
        remote: whether it is another service's.
        trace_state: its `tracestate`.
    """
    from opentelemetry import context  # noqa: PLC0415 - as above
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        TraceState,
        set_span_in_context,
    )

    ids = SpanContext(
        int(span.trace_id, 16),
        int(span.span_id, 16),
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([trace_state]),
    )
    return set_span_in_context(NonRecordingSpan(ids), context.Context())


def _flushing(providers: Sequence[Any], seconds: float) -> Callable[[], str | None]:
    """Flush providers, each in a thread of its own: a flush need not end."""
    failed: dict[str, str] = {}

    def flush(provider: Any, name: str) -> None:
        try:
            answer = provider.force_flush(round(seconds * 1000))
        except Exception as error:  # noqa: BLE001 - the user's exporter may raise anything
            failed[name] = f"{type(error).__name__}: {error}"
        else:
            failed.pop(name) if answer is not False else failed.update({name: "it failed"})

    threads = []
    for provider in providers:
        name = type(provider).__name__
        failed[name] = f"it did not end within {seconds:g} s"
        threads.append(Thread(target=flush, args=(provider, name), daemon=True, name="inithold-flush"))
        threads[-1].start()
    until = time.monotonic() + seconds

    def outcome() -> str | None:
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        parts = [f"{name}: {reason}" for name, reason in failed.copy().items()]
        return f"the flush of the user code's own telemetry: {'; '.join(parts)}" if parts else None

    return outcome


# -- what is handed over


def span_fields(span: Any) -> dict[str, Any]:
    """A finished span as plain values; ids are hexadecimal, times nanoseconds."""
    return {
        "name": span.name,
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else "",
        "trace_state": span.context.trace_state.to_header(),
        "kind": span.kind.name,
        "start": span.start_time,
        "end": span.end_time,
        "attributes": span.attributes,
        "events": [(event.name, event.attributes, event.timestamp) for event in span.events],
        "links": [
            (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", link.attributes)
            for link in span.links
        ],
        "status": (span.status.status_code.name, span.status.description),
        "scope": scope_fields(span.instrumentation_scope),
    }


def log_fields(data: Any) -> dict[str, Any]:
    """A log record as plain values, with the trace and span it belongs to."""
    record = data.log_record
    severity = record.severity_number
    return {
        "timestamp": record.timestamp,
        "observed_timestamp": record.observed_timestamp,
        "trace_id": f"{record.trace_id or 0:032x}",
        "span_id": f"{record.span_id or 0:016x}",
        "sampled": bool(record.trace_flags),
        "severity_number": None if severity is None else severity.value,
        "severity_text": record.severity_text,
        "body": record.body,
        "attributes": record.attributes,
        "event_name": getattr(record, "event_name", None),  # since SDK 1.36
        "scope": scope_fields(data.instrumentation_scope),
    }


def scope_fields(scope: Any) -> dict[str, Any]:
    """An instrumentation scope as plain values."""
    if scope is None:
        return {"name": ""}
    return {
        "name": scope.name,
        "version": scope.version,
        "schema_url": scope.schema_url,
        "attributes": getattr(scope, "attributes", None),
    }


def packed(value: Any) -> Any:
    """Metrics of the SDK as plain values."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: packed(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if hasattr(value, "schema_url"):
        return {"class": "InstrumentationScope", **scope_fields(value)}
    if isinstance(value, enum.Enum):
        return {"class": type(value).__name__, "value": value.value}
    if isinstance(value, Mapping):
        return dict(value)
    return [packed(item) for item in value] if isinstance(value, list | tuple) else value


def unpacked(value: Any) -> Any:
    """What `packed` took apart, as the objects of this process's SDK."""
    from opentelemetry.sdk import metrics  # noqa: PLC0415 - only where there are some
    from opentelemetry.sdk.metrics import export  # noqa: PLC0415
    from opentelemetry.sdk.util import instrumentation  # noqa: PLC0415

    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict) or "class" not in value:
        return value
    fields = {
        # An attribute may be named `class`, too.
        name: field if name.endswith("attributes") else unpacked(field)
        for name, field in value.items()
        if name != "class"
    }
    home = next(module for module in (export, metrics, instrumentation) if hasattr(module, value["class"]))
    return getattr(home, value["class"])(**fields)


def _plain(value: Any) -> Any:
    """What JSON does not know: attributes are mappings of the SDK's own."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return list(value) if isinstance(value, Sequence | set | frozenset) else str(value)


# -- when user code begins to use it


class _Finder(MetaPathFinder):
    """Acts once, when the thread it was made in has imported the first module that holds a provider."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._thread = get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _HOLDERS or get_ident() != self._thread:
            return None
        for finder in list(sys.meta_path):
            if isinstance(finder, _Finder) or not hasattr(finder, "find_spec"):
                continue
            spec: ModuleSpec | None = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _ActingLoader(spec.loader, self._after)
                return spec
        return None

    def _after(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._act()


class _ActingLoader(Loader):
    """Loads as another loader does, and acts afterwards."""

    def __init__(self, loader: Loader, act: Callable[[], object]) -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        # Whoever looks at the module later finds it as it would be without us.
        spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._act()
