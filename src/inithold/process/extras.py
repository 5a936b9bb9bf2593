"""The extras of inithold and their modules, so that an error can name the extra to install."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

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
    """Whether every module of an extra can be found; nothing is imported."""
    return all(_is_there(module) for module in MODULES[extra])


def _is_there(module: str) -> bool:
    package, *names = module.split(".")
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        return False
    if spec is None or not names:
        return spec is not None
    # Not `find_spec("a.b")`: it would import `a`.
    return any(Path(folder, *names).is_dir() for folder in spec.submodule_search_locations or ())


def pip_command(extras: Iterable[str]) -> str:
    """The command that installs extras: `pip install 'inithold[alembic,postgres]'`."""
    return f"pip install 'inithold[{','.join(sorted(set(extras)))}]'"
