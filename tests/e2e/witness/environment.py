"""What there is of the example's environment, looked at without inithold in a container of its image."""

from __future__ import annotations

import base64
import json
import os
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pika
import psycopg
from pika.exceptions import AMQPError, ChannelClosedByBroker

NOT_THERE = (psycopg.Error, AMQPError, OSError)
"""What looking raises where something is missing."""
# `since`: when the newer of both came to be, the server and the revision (track_commit_timestamp is on).
REVISION = """
select version_num,
       extract(epoch from greatest(pg_postmaster_start_time(), pg_xact_commit_timestamp(xmin)))::float8
  from alembic_version
"""
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"


def of_database() -> dict[str, Any]:
    """Revision, tables, and since when; raises what the driver raises."""
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5) as connection:
        tables = sorted(name for (name,) in connection.execute(TABLES))
        revision, since = connection.execute(REVISION).fetchone() or ("", 0.0)
    return {"revision": revision, "since": since, "tables": tables}


def of_broker() -> dict[str, Any]:
    """Which of the queues in QUEUES there are, and the bindings; raises what pika or urllib raises."""
    parameters = pika.URLParameters(os.environ["RABBITMQ_URL"])
    parameters.socket_timeout = parameters.blocked_connection_timeout = 5
    connection = pika.BlockingConnection(parameters)
    try:
        queues = [name for name in json.loads(os.environ["QUEUES"]) if _exists(connection, name)]
    finally:
        connection.close()
    return {"queues": queues, "bindings": _bindings()}


def _exists(connection: pika.BlockingConnection, queue: str) -> bool:
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except ChannelClosedByBroker:
        return False
    channel.close()
    return True


def _bindings() -> list[list[str]]:
    """Source, destination and routing key of each binding but those that each queue has by itself."""
    parts = urlsplit(os.environ["RABBITMQ_MANAGEMENT_URL"])
    login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = Request(
        f"http://{parts.hostname}:{parts.port}/api/bindings", headers={"Authorization": f"Basic {login}"}
    )
    with urlopen(request, timeout=5) as answer:
        found = json.load(answer)
    return sorted([one["source"], one["destination"], one["routing_key"]] for one in found if one["source"])
