"""Metrics of several processes as those of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider

from inithold.runner import user_telemetry
from inithold.runner.otel_sdk import metric_reader, packed
from inithold.watchers.telemetry.user_code import merged, unpacked


def measured(record: Callable[[Meter], None], scope: str = "app") -> list[Any]:
    """What a process hands over that records so."""
    reader = metric_reader()
    record(MeterProvider([reader], shutdown_on_exit=False).get_meter(scope))
    scopes = reader.get_metrics_data().resource_metrics[0].scope_metrics
    made: list[Any] = json.loads(json.dumps([packed(each) for each in scopes], default=user_telemetry.plain))
    return made


def points(scopes: list[Any], name: str) -> list[Any]:
    (metric,) = [metric for scope in unpacked(scopes) for metric in scope.metrics if metric.name == name]
    return list(metric.data.data_points)


def test_sums_are_added_up_by_their_attributes() -> None:
    def record(meter: Meter) -> None:
        meter.create_counter("rows").add(2, {"class": "a"})
        meter.create_up_down_counter("open").add(-1)

    first, second = measured(record), measured(record)
    both = merged([first, second, measured(lambda meter: meter.create_counter("rows").add(5))])
    assert sorted((len(point.attributes), point.value) for point in points(both, "rows")) == [(0, 5), (1, 4)]
    assert [point.value for point in points(both, "open")] == [-2]
    (point,) = points(both, "open")
    assert point.start_time_unix_nano < points(measured(record), "open")[0].start_time_unix_nano


def test_histograms_are_added_up_and_gauges_are_replaced() -> None:
    def record(value: float) -> Callable[[Meter], None]:
        def into(meter: Meter) -> None:
            meter.create_histogram("took").record(value)
            meter.create_gauge("level").set(value)

        return into

    both = merged([measured(record(1)), measured(record(8))])
    (took,) = points(both, "took")
    assert (took.count, took.sum, took.min, took.max, sum(took.bucket_counts)) == (2, 9, 1, 8, 2)
    assert [point.value for point in points(both, "level")] == [8]


def test_what_cannot_be_added_up_stays_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"
    )
    one = measured(lambda meter: meter.create_histogram("took").record(1))
    other = measured(lambda meter: meter.create_histogram("took").record(1), scope="other")
    both = merged([one, measured(lambda meter: meter.create_histogram("took").record(2)), other])
    assert [scope["scope"]["name"] for scope in both] == ["app", "other"]
    assert [point.sum for point in points(both[:1], "took")] == [1, 2]


def test_nothing_of_nobody() -> None:
    assert merged([]) == []
