"""Servers that are known by their image: what they speak, and where they say that they are ready.

The paths are those of each server's own documentation; they need no login.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a server.

    Args:
        technology: `postgresql`, `mysql`, `amqp`, `redis`, `http` or `tcp`.
        port: its usual port.
        path: for `http`, where it says that it is ready.
    """

    technology: str
    port: int
    path: str = ""


_POSTGRESQL = (
    r"postgres(?:ql)?|postgis|pgvector|timescaledb(?:-ha)?|spilo.*|supabase-postgres|paradedb|alloydbomni"
)
# Most special first. The name is the image's without registry, folder and tag.
_KNOWN: tuple[tuple[re.Pattern[str], Known], ...] = tuple(
    (re.compile(rf"(?:{pattern})\Z", re.I), known)
    for pattern, known in (
        (_POSTGRESQL, Known("postgresql", 5432)),
        (r"cockroach", Known("postgresql", 26257)),
        (r"pgbouncer|pgpool|pgcat", Known("postgresql", 5432)),
        (r"mysql|mariadb|mysql-server|percona(?:-server)?", Known("mysql", 3306)),
        (r"rabbitmq", Known("amqp", 5672)),
        (r"lavinmq", Known("amqp", 5672)),
        (r"redis|redis-stack(?:-server)?|valkey(?:-bundle)?|keydb|dragonfly", Known("redis", 6379)),
        (r"minio", Known("http", 9000, "/minio/health/ready")),
        (r"localstack(?:-pro)?", Known("http", 4566, "/_localstack/health")),
        (r"clickhouse(?:-server)?", Known("http", 8123, "/ping")),
        (r"meilisearch", Known("http", 7700, "/health")),
        (r"typesense", Known("http", 8108, "/health")),
        (r"influxdb", Known("http", 8086, "/ping")),
        (r"qdrant", Known("http", 6333, "/readyz")),
        (r"weaviate", Known("http", 8080, "/v1/.well-known/ready")),
        (r"etcd", Known("http", 2379, "/health")),
        (r"kafka|cp-kafka|redpanda", Known("tcp", 9092)),
        (r"zookeeper|cp-zookeeper", Known("tcp", 2181)),
        (r"mongo|mongodb|mongodb-community-server", Known("tcp", 27017)),
        (r"elasticsearch|opensearch", Known("tcp", 9200)),
        (r"memcached", Known("tcp", 11211)),
        (r"nats|nats-streaming", Known("tcp", 4222)),
        (r"cassandra|scylla", Known("tcp", 9042)),
        (r"keycloak", Known("tcp", 8080)),
        (r"vault|openbao", Known("tcp", 8200)),
        (r"consul", Known("tcp", 8500)),
        (r"mssql(?:-server)?|server|azure-sql-edge", Known("tcp", 1433)),
        (r"mailhog|mailpit|maildev", Known("tcp", 1025)),
    )
)
TELEMETRY = re.compile(
    r"(?:alloy|opentelemetry-collector.*|jaeger.*|all-in-one|tempo|loki|prometheus|grafana|zipkin|fluent-bit|vector"
    r"|promtail|otel-lgtm|datadog-agent|agent|signoz.*)\Z",
    re.I,
)
"""Images that receive telemetry or show it: nothing waits for them."""


def image_name(image: str) -> str:
    """The name of an image without registry, folder, tag and digest."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[0]


def known(image: str) -> Known | None:
    """What is known of an image; None where it is not known."""
    name = image_name(image)
    if name == "server" and "mssql" not in image:
        return None
    return next((what for pattern, what in _KNOWN if pattern.match(name)), None)
