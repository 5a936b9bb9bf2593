"""Collectors that are dead, slow, silent, late or unwilling: telemetry is back in time, with one line."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest

from inithold.plan.model import PlannedStep
from servers.otlp import Collector, Protocol, deaf_collector, dribbling_collector
from servers.ports import closed_port
from telemetry_plan import Holds, Ran, run

pytestmark = pytest.mark.timeout(60)
protocols = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
SLACK = 5.0
"""Seconds a busy machine may add to a bound."""


@contextmanager
def unanswered() -> Iterator[int]:
    """The port of a listener that nobody accepts from: the kernel takes the connection and what is sent."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield listener.getsockname()[1]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def by_libraries(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the SDK and its clients logged."""
    libraries = ("opentelemetry", "urllib3", "requests", "grpc")
    return [record.getMessage() for record in caplog.records if record.name.startswith(libraries)]


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
    assert "Connection refused" in line
    assert "\n" not in line


@protocols
def test_dead_port_is_retried_until_the_time_is_up(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        line, took = ran_against(port, protocol, monkeypatch).send(2.0, retry=True)
    assert 2.0 <= took < 2.0 + SLACK
    assert line is not None
    assert "Connection refused" in line


@protocols
@pytest.mark.parametrize("server", [deaf_collector, unanswered, dribbling_collector])
@pytest.mark.parametrize("retry", [False, True])
def test_no_answer_costs_no_more_than_the_bound(
    protocol: Protocol,
    server: Callable[[], AbstractContextManager[int]],
    retry: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server() as port:
        line, took = ran_against(port, protocol, monkeypatch).send(1.5, retry=retry)
    assert took < 1.5 + SLACK
    assert line is not None
    assert f"http://127.0.0.1:{port}" in line


@protocols
def test_stop_ends_retrying(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    with deaf_collector() as port:
        line, took = ran_against(port, protocol, monkeypatch).send(20.0, retry=True, stop=stop.is_set)
    assert took < 1.5 + SLACK
    assert line is not None
    assert "no answer" in line


def test_stop_does_not_shorten_an_exit(otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal that cancelled the run is why telemetry is sent now."""
    line, _ = ran_to(otlp, "http/protobuf", monkeypatch).send(10.0, stop=lambda: True)
    assert line is None
    assert otlp.span("init.environment")


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


@protocols
def test_what_the_collector_did_not_take_is_said(
    protocol: Protocol, otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    otlp.rejects, otlp.message = 2, "too old"
    line, _ = ran_to(otlp, protocol, monkeypatch).send(20.0, retry=True)
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
        ("collector:4318", "", "No connection adapters"),
        ("http://collector:port", "", "Failed to parse"),
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
    assert expected in line


def test_http_to_a_grpc_port_is_given_up(otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    line, took = ran_against(otlp.grpc_port, "http/protobuf", monkeypatch).send(3.0)
    assert took < 3 + SLACK
    assert line is not None
    assert otlp.exports == []


@protocols
def test_nobody_else_says_a_word(
    protocol: Protocol,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with closed_port() as port:
        ran_against(port, protocol, monkeypatch).send(1.5, retry=True)
    assert by_libraries(caplog) == []
    assert capfd.readouterr() == ("", "")
    wait_until(lambda: logging.getLogger("opentelemetry").propagate and logging.getLogger("urllib3").propagate)


def test_an_abandoned_thread_stays_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    with deaf_collector() as port:
        ran_against(port, "http/protobuf", monkeypatch).send(0.7)
    wait_until(lambda: not any(thread.name.startswith("inithold-telemetry") for thread in threading.enumerate()))
    assert by_libraries(caplog) == []
    assert capfd.readouterr() == ("", "")
