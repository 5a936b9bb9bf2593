"""The init service as teams write it by hand: the sleep pattern, measured against by the benchmarks.

Everything is imported at the top, servers are waited for by `sleep(1)`, the SDK is set up in the usual way, and
the process sleeps where it stands. Alembic runs as a child (the default) or, with ALEMBIC=in-process, through its
API. The faults that would spoil the comparison are left out: the trace is flushed before the sleep, and the sleep
does not overflow.
"""

# ruff: noqa: E402
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

# An image of its own would not hold Pygments, which rich brings here and Mako would import to colour its errors.
sys.modules["mako.ext.pygmentplugin"] = None  # type: ignore[assignment]

import alembic.command
import alembic.config
import pika
import psycopg
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

DATABASE_URL = os.environ["DATABASE_URL"]
RABBITMQ_URL = os.environ["RABBITMQ_URL"]
MARKER = Path(os.environ.get("INITHOLD_MARKER", "/tmp/init-complete"))
TABLES = ["users", "guild_configurations", "channel_configurations", "game_templates", "game_sessions"]

log = logging.getLogger("init")
tracer = trace.get_tracer("init")


def set_up_telemetry() -> None:
    resource = Resource.create({"service.name": "init"})
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(
        MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    )
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(logs)
    logging.basicConfig(level=logging.INFO)
    logging.getLogger().addHandler(LoggingHandler(logger_provider=logs))


def wait_for_postgres() -> None:
    while True:
        try:
            psycopg.connect(DATABASE_URL, connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            log.info("waiting for PostgreSQL: %s", error)
            time.sleep(1)


def migrate() -> None:
    if os.environ.get("ALEMBIC") == "in-process":
        config = alembic.config.Config("alembic.ini")
        config.set_main_option("sqlalchemy.url", DATABASE_URL.replace("postgresql://", "postgresql+psycopg://"))
        alembic.command.upgrade(config, "head")
        return
    subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], check=True)


def verify_schema() -> None:
    with psycopg.connect(DATABASE_URL) as connection:
        for table in TABLES:
            found = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
            if not found or found[0] is None:
                raise RuntimeError(f"table {table} is missing")


def wait_for_rabbitmq() -> None:
    while True:
        try:
            pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL)).close()
            return
        except pika.exceptions.AMQPConnectionError as error:
            log.info("waiting for RabbitMQ: %s", error)
            time.sleep(1)


def declare_topology() -> None:
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    channel = connection.channel()
    channel.exchange_declare("game_events", "topic", durable=True)
    channel.exchange_declare("game_events.dlx", "fanout", durable=True)
    channel.exchange_declare("game_events.retry", "fanout", durable=True)
    channel.queue_declare("bot_events", durable=True, arguments={"x-dead-letter-exchange": "game_events.dlx"})
    channel.queue_declare("dead_letters", durable=True)
    channel.queue_declare("retry_delay", durable=True, arguments={"x-dead-letter-exchange": ""})
    channel.queue_declare("parked_events", durable=True)
    channel.queue_bind("bot_events", "game_events", "game.#")
    channel.queue_bind("dead_letters", "game_events.dlx")
    channel.queue_bind("retry_delay", "game_events.retry")
    connection.close()


STEPS = [wait_for_postgres, migrate, verify_schema, wait_for_rabbitmq, declare_topology]


def main() -> None:
    set_up_telemetry()
    with trace.get_tracer("init").start_as_current_span("init.environment"):
        for step in STEPS:
            with trace.get_tracer("init").start_as_current_span(f"init.{step.__name__}"):
                log.info("%s", step.__name__)
                step()
    MARKER.write_text("ready\n")
    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
