"""The servers themselves do what the other tests rely on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pika
import psycopg
import pymysql
import pytest
import redis
from pika.exceptions import ProbableAuthenticationError

from servers.dns import Resolver
from servers.inithold import Inithold
from servers.mariadb import MariaDB
from servers.otlp import Collector, Protocol, deaf_collector
from servers.pgbouncer import PgBouncer
from servers.ports import accepts, closed_port, free_port
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ
from servers.redis import Redis
from servers.run import is_alive


def test_postgresql_answers_and_refuses_a_wrong_password(postgresql: PostgreSQL, database: str) -> None:
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgresql.dsn(password="wrong"))


def test_postgresql_keeps_its_data_and_port_over_kill_and_restart() -> None:
    with PostgreSQL() as server:
        dsn = server.create_database("kept")
        port = server.port
        server.kill()
        assert not accepts(port)
        server.start()
        server.restart()
        psycopg.connect(dsn).close()
        assert server.port == port
        folder, pid = server.folder, server.pid
    assert not is_alive(pid)
    assert not folder.exists()


def test_postgresql_that_requires_tls_refuses_a_plain_connection() -> None:
    with PostgreSQL(tls="required") as server:
        assert server.certificate is not None
        verified = server.dsn(query=f"sslmode=verify-full&sslrootcert={server.certificate.ca_file}")
        psycopg.connect(verified).close()
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(server.dsn(query="sslmode=disable"))


def test_postgresql_frozen_accepts_and_does_not_answer() -> None:
    with PostgreSQL() as server:
        server.freeze()
        assert accepts(server.port)
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(server.dsn(), connect_timeout=2)
        server.thaw()
        psycopg.connect(server.dsn()).close()


def test_pgbouncer_pools_by_transaction(postgresql: PostgreSQL) -> None:
    with PgBouncer(postgresql, pooling="transaction", pool_size=1) as proxy:
        with (
            psycopg.connect(proxy.dsn(), autocommit=True) as one,
            psycopg.connect(proxy.dsn(), autocommit=True) as two,
        ):
            backend = "SELECT pg_backend_pid()"
            assert one.execute(backend).fetchone() == two.execute(backend).fetchone()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxy.dsn(password="wrong"))


def test_rabbitmq_declares_a_queue_in_a_vhost_of_the_tests_own(rabbitmq: RabbitMQ) -> None:
    vhost = rabbitmq.create_vhost("odd / name %")
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url(vhost)))
    connection.channel().queue_declare("events", durable=True)
    connection.close()
    assert [queue["name"] for queue in rabbitmq.api("GET", "/api/queues/odd%20%2F%20name%20%25")] == ["events"]
    with pytest.raises(ProbableAuthenticationError):
        pika.BlockingConnection(pika.URLParameters(rabbitmq.url(vhost, password="wrong")))
    rabbitmq.delete_vhost(vhost)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        rabbitmq.api("GET", "/api/queues/odd%20%2F%20name%20%25")


def test_mariadb_answers_and_refuses_a_wrong_password(mariadb: MariaDB, mysql_database: str) -> None:
    name = mysql_database.rpartition("/")[2]
    assert mariadb.execute("SELECT DATABASE()", name) == [(name,)]
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(host="127.0.0.1", port=mariadb.port, user=mariadb.user, password="wrong")


def test_redis_answers_and_refuses_a_wrong_password(redis_server: Redis) -> None:
    assert redis.Redis.from_url(redis_server.url()).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(redis_server.url(password="wrong")).ping()


old_handler = pytest.mark.filterwarnings("ignore:.*LoggingHandler:DeprecationWarning")


@old_handler
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_collector_receives_all_signals_over_both_protocols(
    protocol: Protocol, otlp: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in otlp.env(protocol).items():
        monkeypatch.setenv(name, value)
    _export(protocol)
    span = otlp.span("inner")
    assert span.parent_span_id == otlp.span("outer").span_id
    assert (span.attributes["n"], span.attributes["list"]) == (3, ["a", "b"])
    assert otlp.span("outer").status == "ERROR"
    assert otlp.span("outer").events[0].attributes["exception.message"] == "broken"
    assert otlp.metric("done").points[0].value == 2
    assert otlp.metric("took").points[0].count == 1
    assert otlp.metric("took").unit == "s"
    record = otlp.logs[0]
    assert (record.body, record.severity, record.trace_id) == ("said inside", "WARN", span.trace_id)
    assert {export.protocol for export in otlp.exports} == {protocol}


@old_handler
def test_collector_reads_gzip(otlp: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    for name, value in otlp.env().items():
        monkeypatch.setenv(name, value)
    _export("http/protobuf")
    assert {name.lower(): value for name, value in otlp.exports[0].headers.items()}["content-encoding"] == "gzip"
    assert otlp.span("inner")


def _export(protocol: Protocol) -> None:
    """Send one of each signal with the SDK, the exporters configured by the environment."""
    import logging

    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    logs = LoggerProvider()
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    tracer = traces.get_tracer("test")
    with pytest.raises(ValueError, match="broken"), tracer.start_as_current_span("outer"):
        with tracer.start_as_current_span("inner", attributes={"n": 3, "list": ["a", "b"]}):
            record = logging.LogRecord("test", logging.WARNING, __file__, 1, "said inside", None, None)
            LoggingHandler(logger_provider=logs).emit(record)
        raise ValueError("broken")
    meters.get_meter("test").create_counter("done").add(2)
    meters.get_meter("test").create_histogram("took", unit="s").record(0.5)
    for provider in (traces, meters, logs):
        provider.shutdown()


def test_collector_that_comes_up_late_refuses_until_then() -> None:
    with Collector(start=False) as collector:
        assert not accepts(collector.http_port)
        assert not accepts(collector.grpc_port)
        collector.listen_after(0.3)
        collector.wait_for(lambda c: accepts(c.http_port) and accepts(c.grpc_port))


def test_collector_that_is_deaf_accepts_and_never_answers() -> None:
    with deaf_collector() as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_ports_are_free_distinct_or_closed() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert not any(accepts(port) for port in ports)
    with closed_port() as port:
        assert not accepts(port)


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("NXDOMAIN", "EAI_NONAME"),
        ("NODATA", "EAI_NODATA"),
        ("SERVFAIL", "EAI_AGAIN"),
        ("REFUSED", "EAI_AGAIN"),
        ("NEVER", "EAI_AGAIN"),
    ],
)
def test_resolver_answers_as_told(answer: str, seen: str, resolver: Resolver) -> None:
    resolver.answers["db.test"] = answer
    script = (
        "import socket\n"
        "try: print(socket.getaddrinfo('db.test', 1, socket.AF_INET)[0][4][0])\n"
        "except socket.gaierror as e: print(next(n for n in ('EAI_NONAME', 'EAI_NODATA', 'EAI_AGAIN')"
        " if getattr(socket, n) == e.errno))\n"
    )
    done = subprocess.run(
        [*resolver.prefix, sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == seen
    assert "db.test" in resolver.queries


def test_a_process_that_is_left_over_is_ended(run_inithold: Inithold, tmp_path: Path) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True).wait()"
    left = run_inithold.start(program=[sys.executable, "-c", script])
    left.wait_until(lambda: bool(left.descendants()), "its child")
    child = left.descendants()[0]
    run_inithold.end_all()
    assert not is_alive(left.pid)
    assert not is_alive(child)


def test_output_at_a_terminal_is_read_back(run_inithold: Inithold) -> None:
    script = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns)"
    running = run_inithold.start(program=[sys.executable, "-c", script], terminal=True)
    assert running.wait() == 0
    assert running.stdout.strip() == "True 120"


def test_a_killed_run_leaves_no_server_and_no_folder() -> None:
    script = (
        "import time\n"
        "from servers.redis import Redis\n"
        "server = Redis().start()\n"
        "print(server.pid, server.folder.parent, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert run.stdout is not None
    pid, folder = run.stdout.readline().split()
    assert is_alive(int(pid))
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    deadline = time.monotonic() + 10
    while (is_alive(int(pid)) or Path(folder).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(int(pid))
    assert not Path(folder).exists()
