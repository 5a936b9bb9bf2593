"""The parts of OpenTelemetry's SDK that user code and the sender share: processors, the metric reader, contexts;
and their data as plain values.

Only the functions import the SDK: the run itself must not load it.
"""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inithold.runner.events import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context


def span_processor(take: Callable[[Any], object]) -> Any:
    """A span processor that passes each finished and sampled span to `take`."""
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor  # noqa: PLC0415 - seldom needed

    class Spans(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.context is not None and span.context.trace_flags.sampled:
                take(span)

    return Spans()


def log_processor(take: Callable[[Any], object]) -> Any:
    """A log record processor that passes each record to `take`."""
    from opentelemetry.sdk._logs import LogRecordProcessor  # noqa: PLC0415 - seldom needed

    class Logs(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            take(log_record)

        emit = on_emit  # its name before SDK 1.35

        def shutdown(self) -> None:
            """Nothing to shut down."""

        def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
            return True

    return Logs()


def metric_reader() -> Any:
    """The SDK's in-memory reader, set up from the `OTEL_EXPORTER_OTLP_METRICS_*` variables."""
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
    """Whether the environment asks for exponential histograms."""
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "")
    return preference.strip().lower() == "base2_exponential_bucket_histogram"


def context_of(span: Span, *, remote: bool = False, trace_state: str = "") -> Context:
    """An OpenTelemetry context in which new spans are children of `span`.

    Args:
        remote: whether another service made it.
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


# -- data as plain values


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
    """The SDK's metrics as plain values."""
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


def plain(value: Any) -> Any:
    """Convert a value that JSON cannot encode, such as the SDK's own mappings for attributes."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return list(value) if isinstance(value, Sequence | set | frozenset) else str(value)
