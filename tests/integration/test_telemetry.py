"""What a collector gets of a run: real OTLP, over both protocols, read back."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from inithold.plan.model import PlannedStep, Retry
from inithold.runner.events import (
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    RunFinished,
    RunStarted,
    Span,
    StepFinished,
    StepStarted,
)
from inithold.text.duration import Duration
from inithold.watchers.telemetry import make
from inithold.watchers.telemetry.sender import MOST_LINES
from inithold.watchers.telemetry.watcher import Telemetry
from servers.otlp import Collector, Protocol
from telemetry_plan import DIGEST, Fails, Holds, Makes, Ran, Waits, run

pytestmark = pytest.mark.timeout(60)
QUICK = Retry(delay=Duration(0.01))


@pytest.fixture(params=["http/protobuf", "grpc"])
def collector(request: pytest.FixtureRequest, otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """A collector, and the variables that lead there."""
    point_to(otlp, monkeypatch, request.param)
    return otlp


@pytest.fixture
def http(otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """A collector reached by HTTP, where the protocol does not matter."""
    point_to(otlp, monkeypatch, "http/protobuf")
    return otlp


def point_to(otlp: Collector, monkeypatch: pytest.MonkeyPatch, protocol: Protocol) -> None:
    for name, value in otlp.env(protocol).items():
        monkeypatch.setenv(name, value)


def sent(ran: Ran) -> Ran:
    line, _ = ran.send()
    assert line is None
    return ran


def watched() -> Telemetry:
    made = make(os.environ, pytest.fail)
    assert made is not None
    return made


# -- outcomes


def test_success(collector: Collector) -> None:
    before = time.time()
    ran = sent(run(PlannedStep("there", Holds()), PlannedStep("make", Makes(), needs=("there",))))
    after = time.time()

    root, there, make = (collector.span(f"init.{name}") for name in ("environment", "there", "make"))
    assert root.trace_id == there.trace_id == make.trace_id == ran.span.trace_id
    assert root.span_id == ran.span.span_id
    assert root.parent_span_id == ""
    assert there.parent_span_id == make.parent_span_id == root.span_id
    assert before <= root.start <= there.start <= there.end <= make.start <= make.end <= root.end <= after
    assert [root.status, there.status, make.status] == ["UNSET"] * 3
    assert root.attributes == {
        "init.plan.name": "demo",
        "init.plan.digest": DIGEST,
        "init.run.id": "run-1",
        "init.steps": 2,
        "init.changes": 2,
        "init.outcome": "ready",
    }
    assert [event.name for event in root.events] == ["init.marker.published"]
    assert {name: make.attributes[name] for name in make.attributes if not name.endswith("ing")} == {
        "init.step.id": "make",
        "init.step.kind": "test.makes",
        "init.step.target": "test://things",
        "init.outcome": "changed",
        "init.step.attempts": 1,
        "init.changes": 2,
        "init.change_lines": ["+ queue one", "~ schema a -> b"],
    }
    assert there.attributes["init.outcome"] == "unchanged"
    assert {export.protocol for export in collector.exports} == {os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]}


def test_span_ids_are_those_that_commands_were_told(http: Collector) -> None:
    ran = sent(run(PlannedStep("make", Makes())))
    started = next(event for event in ran.collected.events if isinstance(event, StepStarted))
    assert http.span("init.make").span_id == started.span.span_id
    assert http.span("init.make").start == pytest.approx(started.at, abs=1e-6)


def test_log_records_carry_the_trace(collector: Collector) -> None:
    sent(run(PlannedStep("make", Makes())))
    root, make = collector.span("init.environment"), collector.span("init.make")
    seen = [(record.body, record.severity, record.span_id) for record in collector.logs]
    assert seen == [
        ("line 0", "WARN", make.span_id),
        ("changed", "INFO", make.span_id),
        (collector.logs[2].body, "INFO", root.span_id),
    ]
    assert collector.logs[2].body.startswith("ready in ")
    assert {record.trace_id for record in collector.logs} == {root.trace_id}
    assert [record.attributes.get("init.step.id") for record in collector.logs] == ["make", "make", None]
    assert collector.logs[1].attributes["init.outcome"] == "changed"
    assert make.start <= collector.logs[0].at <= make.end
    assert collector.logs[0].resource["service.name"] == "init"


def test_metrics(collector: Collector) -> None:
    sent(run(PlannedStep("make", Makes()), PlannedStep("later", Fails(), retry=QUICK)))
    duration, runs = collector.metric("init.duration"), collector.metric("init.runs")
    assert (duration.unit, duration.kind, duration.points[0].attributes) == (
        "s",
        "histogram",
        {"init.outcome": "failed"},
    )
    assert 0 < (duration.points[0].sum or 0) < 30
    assert 0.5 in duration.points[0].bounds
    assert (runs.unit, runs.kind, runs.points[0].value) == ("{run}", "sum", 1)
    took, attempts = collector.metric("init.step.duration"), collector.metric("init.step.attempts")
    assert took.unit == "s"
    assert attempts.unit == "{attempt}"
    by_step = {point.attributes["init.step.id"]: point for point in attempts.points}
    assert (by_step["make"].sum, by_step["later"].sum) == (1, 3)
    assert by_step["later"].attributes == {
        "init.step.id": "later",
        "init.step.kind": "test.fails",
        "init.outcome": "failed",
    }
    assert not any(metric.name == "init.ready" for metric in collector.metrics)


def test_failure(collector: Collector) -> None:
    steps = PlannedStep("broken", Fails(), retry=QUICK), PlannedStep("after", Holds(), needs=("broken",))
    sent(run(*steps))
    root, broken, after = (collector.span(f"init.{name}") for name in ("environment", "broken", "after"))
    assert (broken.status, broken.status_message) == ("ERROR", "the server said no")
    assert broken.attributes["init.hint"] == "ask it nicely"
    assert broken.attributes["init.step.attempts"] == 3
    failed = [event for event in broken.events if event.name == "init.attempt.failed"]
    assert [event.attributes["init.step.attempt"] for event in failed] == [1, 2]
    assert {event.attributes["init.reason"] for event in failed} == {"not up"}
    assert [event.attributes for event in broken.events if event.name == "exception"] == [
        {"exception.type": "PermissionError", "exception.message": "the server said no"}
    ]
    assert any(event.name == "init.waiting" for event in broken.events)
    assert all(broken.start <= event.at <= broken.end for event in broken.events)
    assert (root.status, root.attributes["init.outcome"]) == ("ERROR", "failed")
    assert root.status_message == "broken: the server said no"
    assert (after.attributes["init.outcome"], after.start) == ("skipped", after.end)
    assert after.parent_span_id == root.span_id
    record = next(record for record in collector.logs if record.body == "failed: the server said no")
    assert (record.severity, record.span_id) == ("ERROR", broken.span_id)


def test_tolerated_failure_is_an_error_of_the_step_alone(http: Collector) -> None:
    sent(run(PlannedStep("broken", Fails(), retry=QUICK, on_failure="continue")))
    assert http.span("init.broken").status == "ERROR"
    assert http.span("init.environment").status == "UNSET"
    assert http.span("init.environment").attributes["init.outcome"] == "ready"


def test_cancel(collector: Collector) -> None:
    steps = PlannedStep("waits", Waits()), PlannedStep("never", Holds(), needs=("waits",))
    ran = sent(run(*steps, cancel_after=0.2))
    assert ran.result.outcome == "cancelled"
    root, waits = collector.span("init.environment"), collector.span("init.waits")
    assert (root.attributes["init.outcome"], root.attributes["init.reason"]) == ("cancelled", "SIGTERM")
    assert (waits.attributes["init.outcome"], waits.status) == ("cancelled", "UNSET")
    assert collector.span("init.never").attributes["init.outcome"] == "cancelled"
    assert collector.metric("init.runs").points[0].attributes == {"init.outcome": "cancelled"}


# -- trace context


def test_run_is_a_child_of_the_caller(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace}-{parent}-01")
    sent(run(PlannedStep("there", Holds())))
    assert {span.trace_id for span in collector.spans} == {trace}
    assert collector.span("init.environment").parent_span_id == parent


@pytest.mark.parametrize(
    "environ",
    [
        {"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
    ],
)
def test_what_is_not_sampled_has_no_spans_but_logs_and_metrics(
    environ: dict[str, str], http: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ran = sent(run(PlannedStep("there", Holds())))
    assert http.spans == []
    assert {record.trace_id for record in http.logs} == {ran.span.trace_id}
    assert http.metric("init.runs")


# -- settings of the standard


def test_default_resource(http: Collector) -> None:
    sent(run(PlannedStep("there", Holds())))
    resource = http.span("init.environment").resource
    assert (resource["service.name"], resource["service.namespace"]) == ("init", "demo")
    assert resource["telemetry.sdk.language"] == "python"


def test_resource_of_the_environment_wins(http: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other")
    sent(run(PlannedStep("there", Holds())))
    for resource in (http.span("init.there").resource, http.logs[0].resource, http.metrics[0].resource):
        assert resource["service.name"] == "mine"
        assert resource["deployment.environment.name"] == "test"
        assert "service.namespace" not in resource


def test_headers_and_compression(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    sent(run(PlannedStep("there", Holds())))
    assert {export.signal for export in collector.exports} == {"traces", "metrics", "logs"}
    for export in collector.exports:
        headers = {name.lower(): value for name, value in export.headers.items()}
        assert headers["x-tenant"] == "blue"
        if export.protocol == "http/protobuf":
            assert headers["content-encoding"] == "gzip"


def test_signals_may_be_left_out(http: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    sent(run(PlannedStep("there", Holds())))
    assert {export.signal for export in http.exports} == {"traces"}


@pytest.mark.parametrize(("preference", "delta"), [("cumulative", False), ("delta", True), ("lowmemory", True)])
def test_temporality(preference: str, delta: bool, http: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    sent(run(PlannedStep("there", Holds())))
    assert {metric.delta for metric in http.metrics} == {delta}


def test_exponential_histograms(http: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"
    )
    sent(run(PlannedStep("there", Holds())))
    assert http.metric("init.duration").kind == "exponential_histogram"


# -- amounts


def test_many_lines_come_in_several_requests(collector: Collector) -> None:
    sent(run(PlannedStep("make", Makes(lines=1200))))
    bodies = [record.body for record in collector.logs if record.body.startswith("line ")]
    assert bodies == [f"line {number}" for number in range(1200)]
    assert len([export for export in collector.exports if export.signal == "logs"]) == 3


def test_the_newest_lines_are_kept_the_rest_is_counted(http: Collector) -> None:
    sent(run(PlannedStep("make", Makes(lines=MOST_LINES + 150))))
    bodies = [record.body for record in http.logs]
    lines = [body for body in bodies if body.startswith("line ")]
    assert lines == [f"line {number}" for number in range(150, MOST_LINES + 150)]
    assert "150 log lines were left out: more than telemetry keeps until it is sent" in bodies


def test_a_quick_run_that_says_much_loses_nothing(http: Collector) -> None:
    """Its sender starts when it is over: until then it keeps as much as the sender's pipe would take, and more."""
    telemetry = watched()
    span = Span.root()
    telemetry.see(RunStarted(name="demo", run_id="1", digest=DIGEST, span=span, steps=()))
    for number in range(8_000):
        telemetry.see(LogLine(text=f"line {number} {'x' * 100}"))
    telemetry.see(RunFinished(outcome="ready", duration=0.5))
    assert telemetry.finish(20.0, retry=False, wait=True) is None
    assert [record.body.split()[1] for record in http.logs if record.body.startswith("line ")] == [
        str(number) for number in range(8_000)
    ]


# -- odd lives

_DIES = """
import os
from inithold.runner.events import RunStarted, Span
from inithold.watchers.telemetry import make

# As if PID 1 were to hold: the sender outlives this process.
telemetry = make(os.environ, print, holder=1)
telemetry.see(RunStarted(name="demo", run_id="1", digest="d", span=Span.root(), steps=()))
telemetry.start_sender()
os._exit(1)
"""


def test_the_sender_gets_at_once_what_was_kept_for_it(http: Collector) -> None:
    subprocess.run([sys.executable, "-c", _DIES], check=False)
    http.wait_for(lambda seen: seen.spans, seconds=20)
    assert http.span("init.environment")


def test_a_run_that_starts_over_is_one_trace(http: Collector) -> None:
    telemetry = watched()
    span = Span("0af7651916cd43dd8448eb211c80319c", "00000000000000a1")
    early = LogLine(text="early", level="warning")
    for event in (
        early,
        RunStarted(name="demo", run_id="1", digest=DIGEST, span=span, steps=(), at=100.0),
        LockWaiting(reason="held by another", elapsed=1.0, at=101.0),
        LockAcquired(waited=2.0, at=102.0),
        StepStarted(step="a", span=Span(span.trace_id, "00000000000000a2", span.span_id), at=103.0),
        StepFinished(step="a", outcome="cancelled", at=104.0),
        RunStarted(name="demo", run_id="2", digest=DIGEST, span=span, steps=(), at=105.0),
        StepStarted(step="a", span=Span(span.trace_id, "00000000000000a3", span.span_id), at=106.0),
        LogLine(text="within", step="a", at=106.5),
        StepFinished(step="a", outcome="unchanged", at=107.0),
        RunFinished(outcome="ready", duration=8.0, at=108.0),
        MarkerPublished(path="/tmp/x", at=108.5),
    ):
        telemetry.see(event)
    assert telemetry.finish(10.0, retry=False, wait=True) is None
    root = http.span("init.environment")
    assert (root.start, root.end) == (100.0, 108.5)
    assert [event.name for event in root.events] == [
        "init.lock.waiting",
        "init.lock.acquired",
        "init.marker.published",
    ]
    assert {span.span_id: span.attributes["init.outcome"] for span in http.spans if span.name == "init.a"} == {
        "00000000000000a2": "cancelled",
        "00000000000000a3": "unchanged",
    }
    said = {record.body: record.span_id for record in http.logs}
    assert (said["early"], said["within"]) == (root.span_id, "00000000000000a3")


def test_nothing_is_sent_twice(http: Collector) -> None:
    ran = sent(run(PlannedStep("there", Holds())))
    http.clear()
    assert ran.send()[0] is None
    assert http.exports == []


def test_nothing_is_sent_where_nothing_ran(http: Collector) -> None:
    telemetry = watched()
    telemetry.see(LogLine(text="a warning about the plan", level="warning"))
    assert telemetry.finish(10.0, retry=False, wait=True) is None
    assert http.exports == []
