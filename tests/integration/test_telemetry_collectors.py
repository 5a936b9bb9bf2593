"""Collectors that are dead, slow, silent, late or unwilling: telemetry is back in time, with one line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from inithold.plan.model import PlannedStep
from inithold.watchers.telemetry import watcher
from inithold.watchers.telemetry.watcher import ANSWER_SECONDS
from promptness import PROMPTLY
from servers.otlp import Collector, Protocol, deaf_collector, dribbling_collector, garbage_collector
from servers.ports import closed_port
from stopping import until
from telemetry_plan import Holds, Ran, run

pytestmark = pytest.mark.timeout(60)
protocols = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
DETAILS_SINCE = (1, 43)


@contextmanager
def unanswered() -> Iterator[int]:
    """The port of a listener that nobody accepts from: the kernel takes the connection and what is sent."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield listener.getsockname()[1]


def tells_details(protocol: Protocol) -> bool:
    """Whether the exporters of the SDK that is installed say what gRPC said besides its code."""
    release = tuple(map(int, version("opentelemetry-exporter-otlp-proto-grpc").split(".")[:2]))
    return protocol != "grpc" or release >= DETAILS_SINCE


def ran_against(port: int, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> Ran:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    return run(PlannedStep("there", Holds()))


def ran_to(collector: Collector, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> Ran:
    port = collector.grpc_port if protocol == "grpc" else collector.http_port
    return ran_against(port, protocol, monkeypatch)


@protocols
def test_dead_port_is_given_up_at_once_where_nothing_is_retried(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_port() as port:
        line, took = ran_against(port, protocol, monkeypatch).send(30.0)
    assert took < 20
    assert line is not None
    assert line.startswith("telemetry was not delivered within ")
    assert f"traces, metrics and logs to http://127.0.0.1:{port}: " in line
    assert ("Connection refused" if tells_details(protocol) else "UNAVAILABLE") in line
    assert "\n" not in line


@protocols
def test_dead_port_is_retried_until_the_time_is_up(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        line, took = ran_against(port, protocol, monkeypatch).send(6.0, retry=True)
    assert 6.0 - ANSWER_SECONDS <= took < 6.0 + PROMPTLY
    assert line is not None
    assert ("Connection refused" if tells_details(protocol) else "UNAVAILABLE") in line


@pytest.fixture
def imported(protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets the sender import the SDK at its start, and then make this file.

    On a busy machine importing takes longer than a bound of seconds, and then nothing has met the server.
    """
    package = protocol.partition("/")[0]
    modules = ("trace_exporter", "metric_exporter", "_log_exporter")
    names = [f"opentelemetry.exporter.otlp.proto.{package}.{module}" for module in modules]
    done = tmp_path / "imported"
    (tmp_path / "sitecustomize.py").write_text(f"import {', '.join(names)}\nopen({str(done)!r}, 'w').close()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return done


@protocols
@pytest.mark.parametrize("server", [deaf_collector, unanswered, dribbling_collector, garbage_collector])
@pytest.mark.parametrize("retry", [False, True])
def test_no_answer_costs_no_more_than_the_bound(
    protocol: Protocol,
    server: Callable[[], AbstractContextManager[int]],
    retry: bool,
    imported: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server() as port:
        ran = ran_against(port, protocol, monkeypatch)
        until(imported.exists, 50)
        # The sender has to stop after 6 s, as ever; only its answer may then take long on a busy machine.
        monkeypatch.setattr(watcher, "ANSWER_SECONDS", PROMPTLY)
        line, took = ran.send(6.0 + PROMPTLY, retry=retry)
    assert took < 6.0 + PROMPTLY
    assert line is not None
    assert f"http://127.0.0.1:{port}" in line


@protocols
def test_late_collector_gets_everything(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector(start=False) as collector:
        collector.listen_after(3.0)
        line, took = ran_to(collector, protocol, monkeypatch).send(20.0, retry=True)
        assert line is None
        assert took > 2.0
        assert collector.span("init.environment")
        assert collector.metric("init.runs")
        assert collector.logs


@protocols
@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_final(
    status: int, protocol: Protocol, otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20not-for-logs")
    otlp.status, otlp.message = status, "no such tenant\nfor Bearer not-for-logs"
    line, took = ran_to(otlp, protocol, monkeypatch).send(20.0, retry=True)
    assert took < 15
    assert otlp.asked == 3
    assert line is not None
    if tells_details(protocol):
        assert "no such tenant for ***" in line
    assert "not-for-logs" not in line
    assert "\n" not in line
    if protocol == "http/protobuf":
        assert f"HTTP {status}" in line


@protocols
def test_what_passes_is_tried_again(protocol: Protocol, otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    otlp.status = 503

    def recover() -> None:
        otlp.wait_for(lambda collector: collector.asked >= 3)
        otlp.status = 200

    thread = threading.Thread(target=recover)
    thread.start()
    line, _ = ran_to(otlp, protocol, monkeypatch).send(20.0, retry=True)
    thread.join()
    assert line is None
    assert otlp.span("init.environment")
    assert len(otlp.exports) == 3


def test_a_collector_that_asks_for_a_longer_pause_gets_it(
    otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the exporter's own timeout: it gives up at once then."""
    otlp.status, otlp.headers = 503, {"Retry-After": "600"}
    line, _ = ran_to(otlp, "http/protobuf", monkeypatch).send(4.0, retry=True)
    assert line is not None
    assert "HTTP 503" in line
    assert otlp.asked == 3


@pytest.mark.parametrize(("status", "expected"), [(200, None), (400, "HTTP 400 Bad Request")])
def test_an_answer_that_is_not_the_promised_message_is_judged_by_its_status(
    status: int, expected: str | None, otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    otlp.status, otlp.says = status, b"\xff\xff"
    line, _ = ran_to(otlp, "http/protobuf", monkeypatch).send(20.0)
    assert (line is None) if expected is None else line is not None and line.endswith(expected)


def test_what_the_collector_did_not_take_is_said(otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP: the SDK's exporters for gRPC tell nobody."""
    otlp.rejects, otlp.message = 2, "too old"
    line, _ = ran_to(otlp, "http/protobuf", monkeypatch).send(20.0, retry=True)
    assert line is not None
    assert "2 rejected: too old" in line
    assert otlp.asked == 3


def test_one_signal_that_is_refused_does_not_keep_the_others(
    otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"http://127.0.0.1:{otlp.http_port}/nowhere")
    line, _ = ran_to(otlp, "http/protobuf", monkeypatch).send(20.0, retry=True)
    assert line is not None
    assert f"logs to http://127.0.0.1:{otlp.http_port}: HTTP 404 Not Found" in line
    assert "traces" not in line
    assert {export.signal for export in otlp.exports} == {"traces", "metrics"}


@pytest.mark.parametrize(
    ("endpoint", "certificate", "expected"),
    [
        ("collector:4318", "", "collector:4318: the endpoint is not an http:// or https:// URL"),
        ("http://collector:port", "", "the endpoint given: the endpoint is not an http:// or https:// URL"),
        ("collector", "", "collector: the endpoint is not an http:// or https:// URL"),
        ("https://127.0.0.1:1", "/nope", "/nope"),
    ],
)
def test_settings_that_cannot_work_are_said(
    endpoint: str, certificate: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    if certificate:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate)
    line, took = run(PlannedStep("there", Holds())).send(20.0, retry=True)
    assert took < 15
    assert line is not None
    assert line.count(expected) == 1


def test_http_to_a_grpc_port_is_given_up(otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    line, took = ran_against(otlp.grpc_port, "http/protobuf", monkeypatch).send(3.0)
    assert took < 3 + PROMPTLY
    assert line is not None
    assert otlp.exports == []


@protocols
def test_nobody_else_says_a_word(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    with closed_port() as port:
        ran_against(port, protocol, monkeypatch).send(1.5, retry=True)
    assert capfd.readouterr() == ("", "")
