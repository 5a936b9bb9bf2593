"""What is measured of a run, and the readers that each metric exporter gets its data from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource

from inithold.runner.events import Verified
from inithold.watchers.telemetry.account import RunAccount
from inithold.watchers.telemetry.settings import Exporter

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_ATTEMPTS = (1, 2, 3, 5, 10, 20, 50, 100, 500)
_BUCKETS: Mapping[str, Sequence[float]] = {
    "init.duration": _SECONDS,
    "init.step.duration": _SECONDS,
    "init.step.attempts": _ATTEMPTS,
}
_DELTA: Mapping[str, Sequence[type]] = {
    "delta": (Counter, ObservableCounter, Histogram),
    "lowmemory": (Counter, Histogram),
}
"""Which instruments `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` makes report differences."""


class Readers:
    """A meter provider with one reader for each metric exporter.

    Args:
        exporters: of metrics.
        resource: that the metrics are of.
    """

    def __init__(self, exporters: Sequence[Exporter], resource: Resource) -> None:
        exponential = (
            os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
            == "base2_exponential_bucket_histogram"
        )
        self._readers = {exporter: _reader(exporter, exponential) for exporter in exporters}
        self.provider = MeterProvider(
            metric_readers=list(self._readers.values()),
            resource=resource,
            shutdown_on_exit=False,
            # The SDK's own buckets are milliseconds'; ours would override a wish for exponential ones.
            views=[] if exponential else [_view(name) for name in _BUCKETS],
        )

    def data(self, exporter: Exporter) -> Any:
        """All that was measured, as `exporter` prefers it; None if there is nothing."""
        return self._readers[exporter].get_metrics_data()


def record(meter: Meter, runs: Sequence[RunAccount], verified: Sequence[Verified]) -> None:
    """Measure finished runs, and what a hold saw. A step that never started has neither duration nor attempts.

    A repair is not counted as a run: it is a part of one, and what it took says nothing of the whole.
    """
    if verified:
        ready = meter.create_gauge("init.ready", "", "Whether the environment held when it was last verified")
        ready.set(int(verified[-1].holds))
    duration = meter.create_histogram("init.duration", "s", "Time from the start of a run to its end")
    counter = meter.create_counter("init.runs", "{run}", "Runs by outcome")
    step_duration = meter.create_histogram("init.step.duration", "s", "Time from the start of a step to its end")
    attempts = meter.create_histogram("init.step.attempts", "{attempt}", "Attempts that a step took")
    for run in runs:
        if run.finished is not None and not run.started.repair:
            outcome = {"init.outcome": run.finished.outcome}
            duration.record(run.finished.duration, outcome)
            counter.add(1, outcome)
        for step in run.steps:
            if step.finished is None or step.span is None:
                continue
            attributes = {
                "init.step.id": step.info.id,
                "init.step.kind": step.info.kind,
                "init.outcome": step.finished.outcome,
            }
            step_duration.record(max(0.0, step.finished.at - step.started_at), attributes)
            attempts.record(step.finished.attempts, attributes)


def _view(name: str) -> View:
    return View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(boundaries=_BUCKETS[name]))


def _reader(exporter: Exporter, exponential: bool) -> InMemoryMetricReader:
    if exporter.protocol is None:
        return InMemoryMetricReader()
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    temporality = dict.fromkeys(_DELTA.get(preference, ()), AggregationTemporality.DELTA)
    aggregation: dict[type, Aggregation] = (
        {Histogram: ExponentialBucketHistogramAggregation()} if exponential else {}
    )
    return InMemoryMetricReader(preferred_temporality=temporality, preferred_aggregation=aggregation)
