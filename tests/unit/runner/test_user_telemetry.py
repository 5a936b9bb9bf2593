"""What user code makes with OpenTelemetry, as it is handed over, and as it is made again by the sender."""

from __future__ import annotations

import json
from threading import Event
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from inithold.runner import user_telemetry
from inithold.runner.events import FromUserCode, Span
from inithold.runner.otel_sdk import context_of, log_fields, metric_reader, packed, plain, span_fields
from inithold.runner.user_telemetry import UserTelemetry
from inithold.watchers.telemetry import user_code
from inithold.watchers.telemetry.logs import takes
from inithold.watchers.telemetry.sdk import Sdk

PARENT = Span("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=plain))


def test_a_span_is_the_same_on_the_other_side() -> None:
    ended: list[Any] = []

    class Keep(SpanProcessor):
        def on_end(self, span: Any) -> None:
            ended.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Keep())
    scope = {"attributes": {"part": "db"}} if takes(provider.get_tracer, "attributes") else {}
    tracer = provider.get_tracer("app", "1.2", "https://schema", **scope)
    link = Link(SpanContext(1, 2, is_remote=False), {"why": "linked"})
    attributes = {"class": "premium", "numbers": (1, 2), "real": 0.5, "yes": True}
    span = tracer.start_span(
        "work", context_of(PARENT, trace_state="a=b"), SpanKind.CLIENT, attributes, [link], 1_000
    )
    span.add_event("half", {"way": "there"}, 1_500)
    span.set_status(Status(StatusCode.ERROR, "broken"))
    span.end(2_000)

    sdk = Sdk("demo")
    user_code.add_span(sdk, through_json(span_fields(ended[0])))
    (made,) = sdk.spans
    assert span_fields(made) == span_fields(ended[0])
    assert made.parent.span_id == int(PARENT.span_id, 16)
    assert made.resource.attributes["service.namespace"] == "demo"


def test_a_root_span_keeps_its_trace() -> None:
    sdk = Sdk("demo")
    own = TracerProvider(shutdown_on_exit=False).get_tracer("app").start_span("alone")
    own.end()
    user_code.add_span(sdk, through_json(span_fields(own)))
    (made,) = sdk.spans
    assert (made.context.trace_id, made.context.span_id) == (own.context.trace_id, own.context.span_id)
    assert made.parent is None


def test_a_log_record_is_the_same_on_the_other_side() -> None:
    emitted: list[Any] = []

    class Keep(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            emitted.append(log_record)

        emit = on_emit

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(Keep())
    fields = {
        "timestamp": 1,
        "observed_timestamp": 2,
        "severity_number": SeverityNumber.WARN,
        "severity_text": "WARN",
        "body": {"nested": ["body"]},
        "attributes": {"a": 1},
    }
    provider.get_logger("app", "1.2").emit(Sdk("demo").logs.record(fields, PARENT))

    sdk = Sdk("demo")
    user_code.add_log_record(sdk, through_json(log_fields(emitted[0])))
    (made,) = sdk.log_records
    assert through_json(log_fields(made)) == through_json(log_fields(emitted[0]))


@pytest.mark.parametrize("aggregation", ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"])
def test_metrics_are_the_same_on_the_other_side(aggregation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", aggregation)
    reader = metric_reader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("app", "1.2")
    meter.create_counter("rows", "1", "Rows").add(3, {"class": "premium"})
    meter.create_histogram("took").record(0.25)
    meter.create_gauge("level").set(7)
    meter.create_up_down_counter("open").add(-1)
    scopes = reader.get_metrics_data().resource_metrics[0].scope_metrics
    made = user_code.unpacked(through_json([packed(scope) for scope in scopes]))
    assert [packed(scope) for scope in made] == through_json([packed(scope) for scope in scopes])
    assert made[0].scope.name == "app"
    assert {type(metric.data) for metric in made[0].metrics} == {type(metric.data) for metric in scopes[0].metrics}


def test_there_is_a_limit_and_what_exceeds_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_telemetry, "MOST_ITEMS", 2)
    handed_over: list[FromUserCode] = []
    warnings: list[str] = []
    telemetry = UserTelemetry(("traces",), handed_over.append, warnings.append)
    for number in range(5):
        telemetry.hand_over("traces", {"number": number}, dict)
    telemetry.finish(1.0)
    assert [json.loads(event.body) for event in handed_over] == [[{"number": 0}], [{"number": 1}]]
    assert warnings == [
        "3 spans and log records of user code were left out: more than telemetry takes of a run",
    ]


@pytest.mark.parametrize("body", [{("no", "key"): 1}, RECURSIVE], ids=["keys", "recursion"])
def test_what_cannot_be_handed_over_does_not_fail_the_user_code(body: Any) -> None:
    handed_over: list[FromUserCode] = []
    warnings: list[str] = []
    telemetry = UserTelemetry(("logs",), handed_over.append, warnings.append)
    telemetry.hand_over("logs", {"body": body}, dict)
    telemetry.hand_over("logs", {"body": 1}, dict)
    telemetry.finish(1.0)
    assert [json.loads(event.body) for event in handed_over] == [[{"body": 1}]]
    (warning,) = warnings
    assert warning.startswith("the user code's telemetry is incomplete: 1 left out, the last because of ")


@pytest.mark.parametrize("end", ["hangs", "exits"])
def test_callbacks_of_metrics_neither_delay_nor_end_the_run(end: str) -> None:
    released = Event()

    def callback(_: object) -> list[Observation]:
        if end == "exits":
            raise SystemExit(3)
        released.wait()
        return []

    warnings: list[str] = []
    telemetry = UserTelemetry(("metrics",), lambda _: None, warnings.append)
    telemetry.provider("metrics").get_meter("app").create_observable_gauge("level", [callback])
    telemetry.finish(0.1)
    released.set()
    assert warnings == ["the user code's metrics were left out: their callbacks did not return within 0.05 s"]
