"""What the collector has received: the stand-in for Grafana Alloy writes each export as a line of OTLP JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from e2e.stack import Stack

COLLECTOR = "grafana-alloy"


@dataclass(frozen=True)
class Telemetry:
    """All that one run of init has sent.

    Args:
        spans: of its trace, by name.
        metrics: by name.
        logs: its log records.
    """

    spans: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    logs: list[dict[str, Any]]


def telemetry_of(stack: Stack, trace_id: str) -> Telemetry | None:
    """What a run has sent; None while one of the three signals is missing."""
    traces, logs = _received(stack, "traces"), _received(stack, "logs")
    spans = {span["name"]: span for _, span in traces if span["traceId"] == trace_id}
    process = {sender for sender, span in traces if span["traceId"] == trace_id}
    metrics = {metric["name"]: metric for sender, metric in _received(stack, "metrics") if sender in process}
    records = [record for _, record in logs if record["traceId"] == trace_id]
    if "init.environment" not in spans or not metrics or not records:
        return None
    return Telemetry(spans, metrics, records)


def last_arrival(stack: Stack) -> float:
    """When the collector wrote the last of it, in seconds since 1970."""
    files = [f"/data/{signal}.jsonl" for signal in ("traces", "metrics", "logs")]
    return max(float(line) for line in stack.exec(COLLECTOR, "stat", "-c", "%.Y", *files).stdout.split())


def attributes(item: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a span, a resource, a data point or a log record as a mapping; whole numbers are text."""
    return {one["key"]: next(iter(one["value"].values())) for one in item.get("attributes", [])}


def _received(stack: Stack, signal: str) -> list[tuple[str, dict[str, Any]]]:
    """Each span, metric or log record, with the `service.instance.id` of the process that sent it."""
    several, scopes, items = {
        "traces": ("resourceSpans", "scopeSpans", "spans"),
        "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    }[signal]
    return [
        (attributes(resource["resource"])["service.instance.id"], item)
        for line in stack.exec(COLLECTOR, "cat", f"/data/{signal}.jsonl").stdout.splitlines()
        for resource in json.loads(line)[several]
        for scope in resource[scopes]
        for item in scope[items]
    ]
