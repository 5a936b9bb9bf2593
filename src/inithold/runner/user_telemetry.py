"""OpenTelemetry of the user's code: made children of the step's span, and handed to the sender when finished.

Nothing here talks to a collector, and the SDK is loaded only in a process whose user code uses OpenTelemetry: the
import of the API is watched for, and the API told by `OTEL_PYTHON_*_PROVIDER` where to find a provider if the code
sets none before it asks for one. One that it sets is left alone, and flushed at the end, since the process is
replaced or ended without its exit handlers.

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
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from threading import Lock, RLock, Thread, get_ident
from types import ModuleType
from typing import TYPE_CHECKING, Any

from inithold.runner.events import FromUserCode, Span, TelemetrySignal

if TYPE_CHECKING:
    from opentelemetry.context import Context

MOST_ITEMS = 10_000
"""How many spans and log records a process hands over; what follows is only counted."""
_API = "opentelemetry.{}"
_NAMES: Mapping[TelemetrySignal, str] = {"traces": "trace", "metrics": "metrics", "logs": "_logs"}
"""The modules of the API and the SDK that hold the providers: who makes spans imports one of these first."""
_ENTRY_POINTS: Mapping[TelemetrySignal, str] = {
    "traces": "tracer_provider",
    "metrics": "meter_provider",
    "logs": "logger_provider",
}
_NAME = "inithold"
"""Of our entry points, by which the API finds a provider where the program has set none."""
_ATTACHED: ContextVar[Any] = ContextVar("_ATTACHED", default=None)
"""What gives a step's span back where one was attached: OpenTelemetry's token."""

Emit = Callable[[FromUserCode], object]


class UserTelemetry:
    """Hands over what user code in this process makes. There is one in a process.

    Args:
        signals: those that are exported; of the others no provider is offered.
        emit: takes each event; called from any thread.
        on_warning: told, once, that the SDK cannot be used.
    """

    def __init__(
        self, signals: Collection[TelemetrySignal], emit: Emit, on_warning: Callable[[str], object]
    ) -> None:
        self.signals = signals
        self._emit = emit
        self._on_warning = on_warning
        self._lock = Lock()
        self._offered = False
        self._making = RLock()
        self._providers = _Providers(self.hand_over)
        self._items = 0

    @contextmanager
    def scope(self, span: Span) -> Iterator[None]:
        """While open, spans and log records that this thread makes belong to `span`.

        Where OpenTelemetry has not been imported yet, that begins when this thread imports it.
        """
        outer = _ATTACHED.set(None)
        finder = _Finder(lambda: self._attach(span, early=True))
        if any(_API.format(name) in sys.modules for name in _NAMES.values()):
            self._attach(span, early=False)
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
        if metrics := self._providers.metrics():
            self._hand_over("metrics", metrics)
        return _flushing(self._foreign(), seconds) if self._offered else lambda: None

    def provider(self, signal: TelemetrySignal) -> Any:
        """The SDK's provider for user code that has set none."""
        with self._making:
            return self._providers[signal]

    def hand_over(self, signal: TelemetrySignal, item: Any) -> None:
        """Hand over one finished span or log record."""
        with self._lock:
            self._items += 1
            if self._items > MOST_ITEMS:
                return
        self._hand_over(signal, [item])

    def _hand_over(self, signal: TelemetrySignal, items: Sequence[Any]) -> None:
        self._emit(FromUserCode(signal=signal, body=json.dumps(items, default=_plain)))

    def _attach(self, span: Span, *, early: bool) -> None:
        try:
            if not self._offered:
                self._offer(early=early)
        except Exception as error:  # noqa: BLE001 - telemetry must not stop the user's code
            self._on_warning(f"OpenTelemetry cannot be used: {type(error).__name__}: {error}")
        self._offered = True
        from opentelemetry.context import attach  # noqa: PLC0415 - loaded by then

        _ATTACHED.set(attach(context_of(span)))

    def _offer(self, *, early: bool) -> None:
        """Have the API use our providers where the user's code sets none.

        Args:
            early: whether no code had the API before; else there may be tracers already that wait for a provider.
        """
        OFFERING.append(self)
        if early and entry_points(group=f"opentelemetry_{_ENTRY_POINTS['traces']}", name=_NAME):
            # The API asks for them when somebody wants a tracer and has set no provider.
            for signal in self.signals:
                os.environ.setdefault(_variable(signal), _NAME)
            return
        # Without the lock: another thread may hold that of a module which this imports.
        for signal, name in _NAMES.items():
            import_module(f"opentelemetry.sdk.{name}")
            kind = _ENTRY_POINTS[signal]
            api = import_module(_API.format(name))
            # The API answers with a proxy as long as nobody has set a provider.
            if signal in self.signals and _is_proxy(getattr(api, f"get_{kind}")()):
                getattr(api, f"set_{kind}")(self.provider(signal))

    def _foreign(self) -> list[Any]:
        """The providers that the user's code has set."""
        present = []
        for signal, name in _NAMES.items():
            if os.environ.get(_variable(signal)) == _NAME:
                del os.environ[_variable(signal)]
            if (api := sys.modules.get(_API.format(name))) is not None:
                present.append(getattr(api, f"get_{_ENTRY_POINTS[signal]}")())
        return [each for each in present if each not in self._providers and hasattr(each, "force_flush")]


OFFERING: list[UserTelemetry] = []
"""Whose providers the entry points give out."""


def tracer_provider() -> Any:
    """Entry point `inithold` of `opentelemetry_tracer_provider`."""
    return _offered("traces")


def meter_provider() -> Any:
    """Entry point `inithold` of `opentelemetry_meter_provider`."""
    return _offered("metrics")


def logger_provider() -> Any:
    """Entry point `inithold` of `opentelemetry_logger_provider`."""
    return _offered("logs")


def _offered(signal: TelemetrySignal) -> Any:
    # What the user's code executes must not be offered it.
    os.environ.pop(_variable(signal), None)
    return OFFERING[-1].provider(signal)


def _variable(signal: TelemetrySignal) -> str:
    """The variable by which the API finds a provider where none is set."""
    return f"OTEL_PYTHON_{_ENTRY_POINTS[signal].upper()}"


def _is_proxy(provider: Any) -> bool:
    return type(provider).__name__.lstrip("_").startswith("Proxy")


# -- the SDK's providers


class _Providers:
    """The SDK's providers, which hand over what is finished; each is made when it is asked for.

    Args:
        hand_over: takes each span and log record.
    """

    def __init__(self, hand_over: Callable[[TelemetrySignal, Any], None]) -> None:
        self._hand_over = hand_over
        self._made: dict[TelemetrySignal, Any] = {}
        self._reader: Any = None

    def __contains__(self, provider: object) -> bool:
        return any(provider is each for each in self._made.values())

    def __getitem__(self, signal: TelemetrySignal) -> Any:
        if signal not in self._made:
            make = {
                "traces": self._tracer_provider,
                "metrics": self._meter_provider,
                "logs": self._logger_provider,
            }
            # The SDK may ask for another one meanwhile, to measure itself.
            self._made[signal] = make[signal]()
        return self._made[signal]

    def metrics(self) -> list[Any]:
        """All that was measured."""
        data: Any = self._reader.get_metrics_data() if self._reader is not None else None
        resources = data.resource_metrics if data else ()
        return [packed(scope) for resource in resources for scope in resource.scope_metrics]

    def _tracer_provider(self) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider  # noqa: PLC0415 - seldom

        hand_over = self._hand_over

        class Spans(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                if span.context is not None and span.context.trace_flags.sampled:
                    hand_over("traces", span_fields(span))

        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(Spans())
        return provider

    def _meter_provider(self) -> Any:
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - seldom needed

        self._reader = metric_reader()
        return MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)

    def _logger_provider(self) -> Any:
        from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor  # noqa: PLC0415 - seldom needed

        hand_over = self._hand_over

        class Logs(LogRecordProcessor):
            def on_emit(self, log_record: Any) -> None:
                hand_over("logs", log_fields(log_record))

            emit = on_emit  # its name before SDK 1.35

            def shutdown(self) -> None:
                """There is nothing to shut down."""

            def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
                return True

        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(Logs())
        return provider


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
    left = {type(provider).__name__ for provider in providers}

    def flush(provider: Any) -> None:
        with suppress(Exception):  # the user's exporter may raise anything
            if provider.force_flush(round(seconds * 1000)) is not False:
                left.discard(type(provider).__name__)

    threads = [Thread(target=flush, args=(each,), daemon=True, name="inithold-flush") for each in providers]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds

    def outcome() -> str | None:
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        names = ", ".join(sorted(left))
        return f"the user code's own telemetry was not flushed within {seconds:g} s: {names}" if names else None

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
        package, _, name = fullname.partition(".")
        if package != "opentelemetry" or name not in _NAMES.values() or get_ident() != self._thread:
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
