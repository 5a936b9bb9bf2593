"""Recreates user code's OpenTelemetry data with the sender's SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics
from opentelemetry.sdk.util import instrumentation
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from inithold.runner.events import Span
from inithold.runner.otel_sdk import context_of
from inithold.watchers.telemetry.logs import takes
from inithold.watchers.telemetry.sdk import Sdk


def add_span(sdk: Sdk, fields: Mapping[str, Any]) -> None:
    """Recreate a span from `runner.otel_sdk.span_fields`."""
    parent = Context()
    if fields["parent_id"]:
        parent = context_of(Span(fields["trace_id"], fields["parent_id"]), trace_state=fields["trace_state"])
    span = sdk.start_span(
        fields["name"],
        Span(fields["trace_id"], fields["span_id"]),
        parent,
        fields["start"],
        tracer=_of_scope(sdk.tracer_provider.get_tracer, fields["scope"]),
        kind=SpanKind[fields["kind"]],
        attributes=fields["attributes"],
        links=[
            Link(SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False), attributes)
            for trace_id, span_id, attributes in fields["links"]
        ],
    )
    for name, attributes, at in fields["events"]:
        span.add_event(name, attributes, at)
    code, description = fields["status"]
    if code != "UNSET":
        span.set_status(Status(StatusCode[code], description))
    span.end(fields["end"])


def add_log_record(sdk: Sdk, fields: dict[str, Any]) -> None:
    """Recreate a log record from `runner.otel_sdk.log_fields`."""
    scope = fields.pop("scope")
    span = Span(fields.pop("trace_id"), fields.pop("span_id"), sampled=fields.pop("sampled"))
    if not takes(LogRecord.__init__, "event_name"):
        del fields["event_name"]
    if fields["severity_number"] is not None:
        fields["severity_number"] = SeverityNumber(fields["severity_number"])
    logger = _of_scope(sdk.logs.provider.get_logger, scope)
    logger.emit(sdk.logs.record(fields, span if int(span.span_id, 16) else None))


def _of_scope(get: Callable[..., Any], scope: Mapping[str, Any]) -> Any:
    """A tracer or logger of an instrumentation scope from `runner.otel_sdk.scope_fields`."""
    # Older versions take no attributes, and then the scope has none.
    attributes = {"attributes": scope["attributes"]} if scope.get("attributes") else {}
    return get(scope["name"], scope.get("version"), scope.get("schema_url"), **attributes)


def metrics(sdk: Sdk, sources: Iterable[Sequence[Any]]) -> list[MetricsData]:
    """Merge the metrics of several processes: they are sent under one resource, which must have one writer.

    Args:
        sdk: provides the resource.
        sources: each process's scopes, from `runner.otel_sdk.packed`.
    """
    scopes = unpacked(merged(sources))
    return [MetricsData([ResourceMetrics(sdk.resource, scopes, sdk.resource.schema_url)])] if scopes else []


def merged(sources: Iterable[Sequence[Any]]) -> list[Any]:
    """Merge the packed scopes of several processes.

    Sums and histograms are added up; for gauges the latest value counts. Exponential histograms are not merged.
    """
    scopes: dict[str, Any] = {}
    for scope in (scope for source in sources for scope in source):
        known = scopes.setdefault(_key(scope["scope"]), {**scope, "metrics": {}})["metrics"]
        for metric in scope["metrics"]:
            kind, points = metric["data"]["class"], metric["data"]["data_points"]
            first = known.setdefault(_key([metric["name"], metric["unit"], kind]), metric)
            if first is metric:
                continue
            by_attributes = {_key(point["attributes"]): point for point in first["data"]["data_points"]}
            for point in points:
                same = by_attributes.get(_key(point["attributes"]))
                if same is None or not _add(kind, same, point):
                    first["data"]["data_points"].append(point)
    return [{**scope, "metrics": list(scope["metrics"].values())} for scope in scopes.values()]


def _add(kind: str, to: dict[str, Any], point: Mapping[str, Any]) -> bool:
    """Add a data point to another; false if they cannot be added."""
    if kind == "Gauge":
        if point["time_unix_nano"] >= to["time_unix_nano"]:
            to.update(point)
        return True
    if kind == "Sum":
        to["value"] += point["value"]
    elif kind == "Histogram" and to["explicit_bounds"] == point["explicit_bounds"]:
        to["bucket_counts"] = [sum(pair) for pair in zip(to["bucket_counts"], point["bucket_counts"], strict=True)]
        to["count"] += point["count"]
        to["sum"] += point["sum"]
        to["min"], to["max"] = min(to["min"], point["min"]), max(to["max"], point["max"])
    else:
        return False
    if point["start_time_unix_nano"] is not None:
        to["start_time_unix_nano"] = min(to["start_time_unix_nano"], point["start_time_unix_nano"])
    to["time_unix_nano"] = max(to["time_unix_nano"], point["time_unix_nano"])
    if "exemplars" in to:  # since SDK 1.28
        to["exemplars"] += point["exemplars"]
    return True


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def unpacked(value: Any) -> Any:
    """Recreate the SDK's objects from `runner.otel_sdk.packed`."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict) or "class" not in value:
        return value
    fields = {
        # Leave attributes alone: one may be named `class`, too.
        name: field if name.endswith("attributes") else unpacked(field)
        for name, field in value.items()
        if name != "class"
    }
    home = next(module for module in (export, sdk_metrics, instrumentation) if hasattr(module, value["class"]))
    return getattr(home, value["class"])(**fields)
