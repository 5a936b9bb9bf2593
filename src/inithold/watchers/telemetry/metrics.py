"""What is measured of a run, and the metrics of user code beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics

from inithold.runner.events import Verified
from inithold.runner.user_telemetry import unpacked
from inithold.watchers.telemetry.account import RunAccount
from inithold.watchers.telemetry.sdk import Sdk


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


def batches(sdk: Sdk, of_user_code: Iterable[Sequence[Any]]) -> list[MetricsData]:
    """All that was measured: the run, and user code.

    Args:
        sdk: whose meter the run was recorded with.
        of_user_code: what each process with user code handed over.
    """
    own = sdk.reader.get_metrics_data()
    made = [own] if own is not None else []
    if scopes := merged(of_user_code):
        made.append(MetricsData([ResourceMetrics(sdk.resource, unpacked(scopes), sdk.resource.schema_url)]))
    return made


def merged(sources: Iterable[Sequence[Any]]) -> list[Any]:
    """The metrics of several processes as those of one: they are sent under one resource, which has one writer.

    Sums and histograms are added up; of a gauge the latest value is taken. Exponential histograms of different
    scales stay apart.

    Args:
        sources: of each process, its scopes as `runner.user_telemetry.packed` makes them.
    """
    scopes: dict[str, Any] = {}
    for scope in (scope for source in sources for scope in source):
        known = scopes.setdefault(_key(scope["scope"]), {**scope, "metrics": {}})["metrics"]
        for metric in scope["metrics"]:
            identity = _key([metric["name"], metric["unit"], metric["data"]["class"]])
            if identity not in known:
                known[identity] = metric
                continue
            points = known[identity]["data"]["data_points"]
            by_attributes = {_key(point["attributes"]): point for point in points}
            for point in metric["data"]["data_points"]:
                same = by_attributes.get(_key(point["attributes"]))
                if same is None or not _add(metric["data"]["class"], same, point):
                    points.append(point)
    return [{**scope, "metrics": list(scope["metrics"].values())} for scope in scopes.values()]


def _add(kind: str, to: dict[str, Any], point: Mapping[str, Any]) -> bool:
    """Add a data point to another; whether that could be done."""
    if kind == "Sum":
        to["value"] += point["value"]
    elif kind == "Histogram" and to["explicit_bounds"] == point["explicit_bounds"]:
        to["bucket_counts"] = [sum(pair) for pair in zip(to["bucket_counts"], point["bucket_counts"], strict=True)]
        to["count"] += point["count"]
        to["sum"] += point["sum"]
        to["min"], to["max"] = min(to["min"], point["min"]), max(to["max"], point["max"])
    elif kind == "Gauge":
        if point["time_unix_nano"] >= to["time_unix_nano"]:
            to.update(point)
        return True
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
