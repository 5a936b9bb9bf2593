"""Spans, metrics and log records as plain values, decoded from OTLP's protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """A span's event, such as an exception."""

    name: str
    attributes: Attributes
    at: float
    """seconds since the epoch"""


@dataclass(frozen=True)
class Span:
    """A span. Ids are hexadecimal, times are seconds since the epoch, `status` is UNSET, OK or ERROR."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    start: float
    end: float
    status: str
    status_message: str
    attributes: Attributes
    events: list[Event]
    resource: Attributes


@dataclass(frozen=True)
class Point:
    """One data point: `value` of a counter or gauge; `count` and `sum` of a histogram."""

    attributes: Attributes
    value: float | None = None
    count: int | None = None
    sum: float | None = None
    bounds: tuple[float, ...] = ()
    """where a histogram's buckets end"""


@dataclass(frozen=True)
class Metric:
    """A metric; `kind` is gauge, sum, histogram or exponential_histogram."""

    name: str
    unit: str
    kind: str
    delta: bool
    """of a sum or histogram: whether it tells differences"""
    points: list[Point]
    resource: Attributes


@dataclass(frozen=True)
class LogRecord:
    """A log record; `severity` as sent, such as INFO."""

    body: Any
    severity: str
    severity_number: int
    trace_id: str
    span_id: str
    event_name: str
    at: float
    """seconds since the epoch"""
    scope: str
    """name of the instrumentation scope"""
    attributes: Attributes
    resource: Attributes


def spans(body: bytes) -> list[Span]:
    """The spans of an ExportTraceServiceRequest."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_span_id=span.parent_span_id.hex(),
            start=span.start_time_unix_nano / 1e9,
            end=span.end_time_unix_nano / 1e9,
            status=("UNSET", "OK", "ERROR")[span.status.code],
            status_message=span.status.message,
            attributes=_attributes(span.attributes),
            events=[
                Event(event.name, _attributes(event.attributes), event.time_unix_nano / 1e9)
                for event in span.events
            ],
            resource=_attributes(group.resource.attributes),
        )
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def metrics(body: bytes) -> list[Metric]:
    """The metrics of an ExportMetricsServiceRequest."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest.FromString(body)
    return [
        Metric(
            name=metric.name,
            unit=metric.unit,
            kind=metric.WhichOneof("data") or "",
            delta=getattr(getattr(metric, metric.WhichOneof("data")), "aggregation_temporality", 0) == 1,
            points=[_point(point) for point in getattr(metric, metric.WhichOneof("data")).data_points],
            resource=_attributes(group.resource.attributes),
        )
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    ]


def log_records(body: bytes) -> list[LogRecord]:
    """The log records of an ExportLogsServiceRequest."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest.FromString(body)
    return [
        LogRecord(
            body=_value(record.body),
            severity=record.severity_text,
            severity_number=record.severity_number,
            trace_id=record.trace_id.hex(),
            span_id=record.span_id.hex(),
            event_name=getattr(record, "event_name", ""),
            at=record.time_unix_nano / 1e9,
            scope=scope.scope.name,
            attributes=_attributes(record.attributes),
            resource=_attributes(group.resource.attributes),
        )
        for group in request.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


def _point(point: Any) -> Point:
    attributes = _attributes(point.attributes)
    if hasattr(point, "count"):  # a histogram, exponential or not
        bounds = tuple(getattr(point, "explicit_bounds", ()))
        return Point(attributes, count=point.count, sum=point.sum, bounds=bounds)
    return Point(attributes, value=getattr(point, point.WhichOneof("value")))


def _attributes(pairs: Iterable[Any]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
