"""Telemetry of inithold as a process: what arrives, that nobody waits for it, that a hold is silent."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from opentelemetry._logs import LogRecord

from inithold.watchers.telemetry.logs import takes
from promptness import PROMPTLY
from servers.inithold import Inithold
from servers.otlp import Collector, Protocol, deaf_collector
from servers.ports import closed_port
from servers.run import is_alive

pytestmark = pytest.mark.timeout(90)
protocols = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
START = 8.0
"""Seconds that a busy machine may take to start Python and run a small plan."""

PLAN = """
version: 1
name: demo
steps:
  - id: there
    uses: file.ready
    with: {path: there}
  - id: seed
    uses: command.run
    with: {run: [sh, -c, 'echo trace $TRACEPARENT']}
"""
FAILING = PLAN.replace("echo trace $TRACEPARENT", "echo gone wrong; exit 3")
WAITING = PLAN.replace("path: there", "path: never-there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "there").touch()
    for name, text in (("good", PLAN), ("failing", FAILING), ("waiting", WAITING)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def to(port: int, protocol: Protocol = "http/protobuf") -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }


@protocols
def test_success_arrives_whole(protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector) -> None:
    done = run_inithold("run", "--once", "good.yaml", env=otlp.env(protocol))
    assert done.returncode == 0, done.stderr
    root, seed = otlp.span("init.environment"), otlp.span("init.seed")
    assert root.attributes["init.outcome"] == "ready"
    assert f"00-{root.trace_id}-{seed.span_id}-01" in [record.body.partition("trace ")[2] for record in otlp.logs]
    assert otlp.metric("init.runs").points[0].value == 1
    assert "telemetry" not in done.stderr
    assert done.stdout == ""


@protocols
def test_failure_arrives_whole(protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector) -> None:
    done = run_inithold("run", "failing.yaml", env=otlp.env(protocol))
    assert done.returncode == 1, done.stderr
    assert otlp.span("init.seed").status == "ERROR"
    assert any(event.name == "exception" for event in otlp.span("init.seed").events)
    assert otlp.span("init.environment").attributes["init.outcome"] == "failed"
    assert any(record.body == "gone wrong" for record in otlp.logs)
    assert otlp.metric("init.duration")


@protocols
def test_cancel_arrives_whole(protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector) -> None:
    init = run_inithold.start("run", "waiting.yaml", env=otlp.env(protocol))
    init.wait_for_output("never-there")
    init.signal(signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM
    assert otlp.span("init.environment").attributes["init.outcome"] == "cancelled"
    assert otlp.span("init.there").attributes["init.outcome"] == "cancelled"
    assert otlp.metric("init.runs").points[0].attributes == {"init.outcome": "cancelled"}


def test_caller_is_the_parent(folder: Path, run_inithold: Inithold, otlp: Collector) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    environ = otlp.env() | {"TRACEPARENT": f"00-{trace}-{parent}-01"}
    assert run_inithold("run", "--once", "good.yaml", env=environ).returncode == 0
    root = otlp.span("init.environment")
    assert (root.trace_id, root.parent_span_id) == (trace, parent)


@protocols
@pytest.mark.parametrize(("plan", "code"), [("good.yaml", 0), ("failing.yaml", 1)])
def test_a_silent_collector_delays_an_exit_by_three_seconds(
    protocol: Protocol, plan: str, code: int, folder: Path, run_inithold: Inithold
) -> None:
    with deaf_collector() as port:
        done = run_inithold("run", "--once", plan, env=to(port, protocol))
    assert done.returncode == code, done.stderr
    assert done.seconds < 3 + 1 + START
    assert done.stderr.count("telemetry was not delivered") == 1


@protocols
def test_a_silent_collector_delays_a_cancel_by_three_seconds(
    protocol: Protocol, folder: Path, run_inithold: Inithold
) -> None:
    with deaf_collector() as port:
        init = run_inithold.start("run", "waiting.yaml", env=to(port, protocol))
        init.wait_for_output("never-there")
        init.signal(signal.SIGTERM)
        began = time.monotonic()
        assert init.wait() == 128 + signal.SIGTERM
        assert time.monotonic() - began < 3 + PROMPTLY


@protocols
def test_a_dead_port_delays_neither_ready_nor_an_exit(
    protocol: Protocol, folder: Path, run_inithold: Inithold
) -> None:
    with closed_port() as port:
        done = run_inithold("run", "--once", "good.yaml", env=to(port, protocol))
    assert done.returncode == 0
    assert done.seconds < 3 + 1 + START
    assert done.stderr.count("telemetry was not delivered") == 1
    assert "Traceback" not in done.stderr
    assert "opentelemetry" not in done.stderr


@protocols
def test_neither_ready_nor_the_hold_waits_for_a_silent_collector_and_a_signal_ends_both(
    protocol: Protocol, folder: Path, run_inithold: Inithold
) -> None:
    with deaf_collector() as port:
        init = run_inithold.start("run", "good.yaml", env=to(port, protocol))
        init.wait_for_marker(START + 1)
        init.wait_for_hold(PROMPTLY)
        (sender,) = init.descendants()
        init.signal(signal.SIGTERM)
        began = time.monotonic()
        assert init.wait() == 0
        assert time.monotonic() - began < PROMPTLY
        wait_for_end(sender)


@protocols
def test_a_collector_that_starts_five_seconds_after_ready_gets_everything(
    protocol: Protocol, folder: Path, run_inithold: Inithold
) -> None:
    with Collector(start=False) as collector:
        init = run_inithold.start("run", "good.yaml", env=collector.env(protocol))
        init.wait_for_marker()
        collector.listen_after(5.0)
        collector.wait_for(lambda seen: seen.spans and seen.metrics and seen.logs, seconds=20)
        assert collector.span("init.environment").attributes["init.outcome"] == "ready"
        assert {span.name for span in collector.spans} == {"init.environment", "init.there", "init.seed"}
        init.wait_for_hold()
        assert "telemetry" not in init.stderr
        init.signal(signal.SIGTERM)
        assert init.wait() == 0


@protocols
def test_a_hold_keeps_nothing_of_the_sender_when_all_is_sent(
    protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    init = run_inithold.start("run", "good.yaml", env=otlp.env(protocol))
    init.wait_for_hold()
    init.wait_until(lambda: not init.descendants(), "the end of the sender")
    assert otlp.span("init.environment").end <= time.time()
    assert [link for link in links(init.pid) if link.startswith(("socket:", "pipe:"))] == []
    received = len(otlp.exports)
    time.sleep(1)
    assert len(otlp.exports) == received


def wait_for_end(pid: int) -> None:
    """Wait until a process is gone."""
    deadline = time.monotonic() + PROMPTLY
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def links(pid: int) -> list[str]:
    """What the descriptors of a process lead to."""
    return [str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()]


USER_CODE = """
import logging

from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, SeverityNumber, get_logger


def work():
    with trace.get_tracer("app").start_as_current_span("app.work") as span:
        span.set_attribute("answer", 42)
        with trace.get_tracer("app").start_as_current_span("app.inner"):
            logging.getLogger("app").warning("from the app")
    metrics.get_meter("app").create_counter("app.rows").add(3)


def say():
    get_logger("app").emit(LogRecord(timestamp=1, body="by hand", severity_number=SeverityNumber.INFO))


async def work_async():
    with trace.get_tracer("app").start_as_current_span("app.async"):
        pass
"""
USER_PLAN = """
version: 1
name: demo
steps:
  - {id: work, uses: python.call, with: {call: "app:work"}}
  - {id: later, uses: python.call, needs: [], with: {call: "app:work_async"}}
"""


@protocols
def test_user_code_belongs_to_its_step(
    protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    (folder / "app.py").write_text(USER_CODE)
    (folder / "user.yaml").write_text(USER_PLAN)
    done = run_inithold("run", "--once", "user.yaml", env=otlp.env(protocol) | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    work, inner, step = otlp.span("app.work"), otlp.span("app.inner"), otlp.span("init.work")
    assert work.trace_id == step.trace_id
    assert (work.parent_span_id, inner.parent_span_id) == (step.span_id, work.span_id)
    assert step.start <= work.start <= work.end <= step.end
    assert work.attributes == {"answer": 42}
    assert otlp.span("app.async").parent_span_id == otlp.span("init.later").span_id
    assert otlp.metric("app.rows").points[0].value == 3


@protocols
def test_no_secret_in_what_user_code_hands_over(
    protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    secret = 'hunter2 "quoted" hunter2'
    (folder / "app.py").write_text(
        "import os\nfrom opentelemetry import metrics, trace\n"
        "def work():\n"
        "    secret = os.environ['APP_PASSWORD']\n"
        "    with trace.get_tracer('app').start_as_current_span('app.work', attributes={'a': secret}) as span:\n"
        "        span.add_event('used ' + secret)\n"
        "    metrics.get_meter('app').create_counter('app.rows').add(1, {'with': secret})\n"
        "    raise RuntimeError('refused ' + secret)\n"
        "work_async = work\n"
    )
    (folder / "user.yaml").write_text(USER_PLAN)
    environ = otlp.env(protocol) | {"PYTHONPATH": str(folder), "APP_PASSWORD": secret}
    assert run_inithold("run", "user.yaml", env=environ).returncode == 1
    assert {span.attributes["a"] for span in otlp.spans if span.name == "app.work"} == {"***"}
    assert {point.attributes["with"] for point in otlp.metric("app.rows").points} == {"***"}
    assert not any(b"hunter2" in export.body for export in otlp.exports)


@protocols
def test_what_cannot_be_encoded_of_user_code_does_not_cost_the_run_its_own(
    protocol: Protocol, folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    (folder / "app.py").write_text(
        "import os, time\n"
        "from opentelemetry import trace\n"
        "from opentelemetry._logs import LogRecord, SeverityNumber, get_logger\n"
        "def work():\n"
        "    trace.get_tracer('app').start_span('app.work', start_time=time.time() * 1e9).end()\n"
        "    body, severity = os.fsdecode(b'\\xff'), SeverityNumber.INFO\n"
        "    get_logger('app').emit(LogRecord(timestamp=1, body=body, severity_number=severity))\n"
        "work_async = work\n"
    )
    (folder / "user.yaml").write_text(USER_PLAN)
    environ = otlp.env(protocol) | {"PYTHONPATH": str(folder)}
    done = run_inithold("run", "--once", "user.yaml", env=environ)
    assert done.returncode == 0, done.stderr
    assert {span.name for span in otlp.spans} == {"init.work", "init.later", "init.environment"}
    assert otlp.logs[-1].attributes == {"init.outcome": "ready"}
    assert done.stderr.count("telemetry was not delivered") == 1


def test_a_secret_that_is_a_number_costs_only_what_it_is_in(
    folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    (folder / "app.py").write_text(
        "from opentelemetry import trace\n"
        "def work():\n"
        "    trace.get_tracer('app').start_span('app.pin', attributes={'pin': 48151623}).end()\n"
        "    trace.get_tracer('app').start_span('app.work').end()\n"
    )
    (folder / "user.yaml").write_text(USER_PLAN.partition("  - {id: later")[0])
    environ = otlp.env() | {"PYTHONPATH": str(folder), "APP_PASSWORD": "48151623"}
    done = run_inithold("run", "--once", "user.yaml", env=environ)
    assert done.returncode == 0, done.stderr
    assert [span.name for span in otlp.spans] == ["app.work", "init.work", "init.environment"]
    assert any("left out" in record.body for record in otlp.logs)


def test_metrics_of_several_processes_are_added_up(folder: Path, run_inithold: Inithold, otlp: Collector) -> None:
    (folder / "app.py").write_text(
        "from opentelemetry import metrics\n"
        "meter = metrics.get_meter('app')\n"
        "rows, took = meter.create_counter('app.rows'), meter.create_histogram('app.took')\n"
        "def work():\n"
        "    rows.add(3, {'class': 'a'})\n"
        "    took.record(0.5)\n"
        "def work_async():\n"
        "    rows.add(4, {'class': 'a'})\n"
        "    rows.add(5, {'class': 'b'})\n"
        "    took.record(7)\n"
    )
    (folder / "user.yaml").write_text(USER_PLAN)
    done = run_inithold("run", "--once", "user.yaml", env=otlp.env() | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    rows, took = otlp.metric("app.rows"), otlp.metric("app.took")
    assert {(point.attributes["class"], point.value) for point in rows.points} == {("a", 7), ("b", 5)}
    assert [(point.count, point.sum) for point in took.points] == [(2, 7.5)]
    assert rows.resource["service.name"] == "init"


@pytest.mark.parametrize("imported", ["at the top", "in the function"])
def test_functions_of_a_plan_hand_over_what_they_make(
    imported: str, folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    imports = "from opentelemetry import metrics, trace"
    at_top = f"{imports}\ntracer = trace.get_tracer('app')\n" if imported == "at the top" else ""
    in_function = "" if at_top else f"    {imports}\n    tracer = trace.get_tracer('app')\n"
    (folder / "user.py").write_text(
        f"{at_top}from inithold import Plan\nplan = Plan('demo')\n"
        f"@plan.step()\ndef first():\n{in_function}"
        "    with tracer.start_as_current_span('app.first'):\n"
        "        metrics.get_meter('app').create_counter('app.rows').add(3)\n"
        f"@plan.step()\ndef second():\n{in_function}"
        "    tracer.start_span('app.second').end()\n"
        "    print('own:', 'opentelemetry.exporter.otlp' in __import__('sys').modules)\n"
    )
    done = run_inithold("run", "--once", "user:plan", env=otlp.env() | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert "own: False" in done.stderr
    for name in ("first", "second"):
        span, step = otlp.span(f"app.{name}"), otlp.span(f"init.{name}")
        assert (span.trace_id, span.parent_span_id) == (step.trace_id, step.span_id)
    assert otlp.metric("app.rows").points[0].value == 3


@pytest.mark.skipif(
    not takes(LogRecord.__init__, "context"), reason="before 1.35 the SDK did not take the API's log records"
)
def test_log_records_of_user_code_belong_to_its_step(
    folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    (folder / "app.py").write_text(USER_CODE)
    (folder / "user.yaml").write_text(USER_PLAN.replace('"app:work"', '"app:say"'))
    done = run_inithold("run", "--once", "user.yaml", env=otlp.env() | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    by_hand = next(record for record in otlp.logs if record.body == "by hand")
    assert by_hand.span_id == otlp.span("init.work").span_id


OWN_PROVIDER = (
    "from opentelemetry import trace\n"
    "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter\n"
    "from opentelemetry.sdk.resources import Resource\n"
    "from opentelemetry.sdk.trace import TracerProvider\n"
    "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
    "provider = TracerProvider(resource=Resource.create({'service.name': 'app'}))\n"
    "provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))\n"
    "trace.set_tracer_provider(provider)\n"
    "def work():\n"
    "    with trace.get_tracer('app').start_as_current_span('app.work'):\n"
    "        pass\n"
    "work_async = work\n"
)


@pytest.mark.parametrize("where", ["plan", "worker"])
def test_providers_of_user_code_are_left_alone_and_flushed(
    where: str, folder: Path, run_inithold: Inithold, otlp: Collector
) -> None:
    (folder / "app.py").write_text(OWN_PROVIDER)
    (folder / "user.yaml").write_text(USER_PLAN.partition("  - {id: later")[0])
    (folder / "user.py").write_text(
        "import app\nfrom inithold import Plan\nplan = Plan('demo')\n@plan.step()\ndef work():\n    app.work()\n"
    )
    plan = "user:plan" if where == "plan" else "user.yaml"
    done = run_inithold("run", "--once", plan, env=otlp.env() | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert otlp.span("app.work").parent_span_id == otlp.span("init.work").span_id
    assert otlp.span("app.work").resource["service.name"] == "app"
    assert otlp.span("init.work").resource["service.name"] == "init"
    assert "Overriding" not in done.stderr


def test_a_flush_of_user_code_that_never_ends_is_bounded(folder: Path, run_inithold: Inithold) -> None:
    """The hand-written init's fault: the SDK's log queue is fed by the errors of its own exporter."""
    (folder / "user.py").write_text(
        "import logging\n"
        "from opentelemetry._logs import set_logger_provider\n"
        "from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter\n"
        "from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler\n"
        "from opentelemetry.sdk._logs.export import BatchLogRecordProcessor\n"
        "from inithold import Plan\n"
        "provider = LoggerProvider()\n"
        "provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))\n"
        "set_logger_provider(provider)\n"
        "logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))\n"
        "plan = Plan('demo')\n"
        "@plan.step()\n"
        "def work():\n"
        "    logging.getLogger().warning('said')\n"
        "    raise RuntimeError('broken')\n"
    )
    with closed_port() as port:
        done = run_inithold("run", "user:plan", env=to(port) | {"PYTHONPATH": str(folder)})
    assert done.returncode == 1, done.stderr
    assert done.seconds < 3 + 1 + START
    assert done.stderr.count("telemetry was not delivered") == 1


@protocols
def test_an_interpreter_that_ends_by_itself_does_not_wait_for_what_was_left_behind(
    protocol: Protocol, folder: Path, run_inithold: Inithold
) -> None:
    (folder / "own.py").write_text(
        "from inithold import Plan, Settings\n"
        "from inithold.steps.file import Ready\n"
        "plan = Plan('demo')\n"
        "plan.add(Ready(path='there'))\n"
        "raise SystemExit(plan.run(Settings(once=True)))\n"
    )
    with deaf_collector() as port:
        own = run_inithold.start(env=to(port, protocol), program=(sys.executable, "own.py"))
        assert own.wait(3 + 1 + START) == 0
    assert own.stderr.count("telemetry was not delivered") == 1
    assert "Error" not in own.stderr


def test_under_a_hold_it_is_given_up_after_half_a_minute(folder: Path, run_inithold: Inithold) -> None:
    with closed_port() as port:
        init = run_inithold.start("run", "good.yaml", env=to(port))
        init.wait_for_hold()
        began = time.monotonic()
        init.wait_for_output("telemetry", 60)
        assert 25 < time.monotonic() - began < 60
    given_up = [line for line in init.stderr.splitlines() if "telemetry" in line]
    assert len(given_up) == 1
    assert "traces, metrics and logs to http://127.0.0.1" in given_up[0]
    assert "Connection refused" in given_up[0]


def test_console_exporters_print(folder: Path, run_inithold: Inithold) -> None:
    names = {f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS", "LOGS")}
    done = run_inithold("run", "--once", "good.yaml", env=names)
    assert done.returncode == 0, done.stderr
    for expected in ('"name": "init.environment"', '"init.step.duration"', '"body": "unchanged"'):
        assert expected in done.stdout


def test_nothing_is_imported_before_ready(folder: Path, run_inithold: Inithold, otlp: Collector) -> None:
    (folder / "user.py").write_text(
        "import sys\n"
        "from inithold import Plan, Step\n"
        "class Look(Step):\n"
        "    kind = 'test.look'\n"
        "    def check(self, context):\n"
        "        heavy = ('opentelemetry.sdk', 'opentelemetry.trace', 'requests', 'google', 'grpc')\n"
        "        context.log('imported: ' + ' '.join(name for name in sys.modules if name.startswith(heavy)))\n"
        "        return ()\n"
        "plan = Plan('demo')\n"
        "plan.add(Look())\n"
    )
    done = run_inithold("run", "--once", "user:plan", env=otlp.env() | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert next(record.body for record in otlp.logs if "imported:" in record.body) == "imported: "


def test_what_cannot_be_used_is_one_warning(folder: Path, run_inithold: Inithold) -> None:
    done = run_inithold("run", "--once", "good.yaml", env={"OTEL_TRACES_EXPORTER": "zipkin"})
    assert done.returncode == 0
    assert done.stderr.count("OTEL_TRACES_EXPORTER: zipkin is not supported; otlp, console and none are") == 1
