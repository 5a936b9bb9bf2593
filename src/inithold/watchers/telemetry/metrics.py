"""What is measured of a run, and the metrics of user code beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """All that was measured, each process's by itself.

    Args:
        sdk: whose meter the run was recorded with.
        of_user_code: what each process with user code handed over.
    """
    own = sdk.reader.get_metrics_data()
    handed_over = [
        MetricsData([ResourceMetrics(sdk.resource, unpacked(scopes), sdk.resource.schema_url)])
        for scopes in of_user_code
    ]
    return ([own] if own is not None else []) + handed_over
