"""The extras of inithold and the modules each brings: a missing one is a one-line error that names it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec

MODULES = {
    "postgres": ("psycopg",),
    "mysql": ("pymysql",),
    "alembic": ("alembic", "sqlalchemy"),
    "rabbitmq": ("pika",),
    "redis": ("redis",),
    "s3": ("botocore",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "otel-grpc": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc"),
    "report": ("jinja2",),
}


@cache
def installed(extra: str) -> bool:
    """Whether every module of an extra can be found; nothing is imported but parent packages."""
    try:
        return all(find_spec(module) is not None for module in MODULES[extra])
    except ModuleNotFoundError:
        return False


def pip_command(extras: Iterable[str]) -> str:
    """The command that installs extras: `pip install 'inithold[alembic,postgres]'`."""
    return f"pip install 'inithold[{','.join(sorted(set(extras)))}]'"
