"""The step kinds, a class each, in a module or package for each technology, imported on first use."""

from __future__ import annotations

TYPE_CHECKING = False
"""Not imported from `typing`, which takes as long to import as everything else a quick command needs."""
if TYPE_CHECKING:
    from inithold.steps import alembic as alembic
    from inithold.steps import command as command
    from inithold.steps import database as database
    from inithold.steps import file as file
    from inithold.steps import http as http
    from inithold.steps import mysql as mysql
    from inithold.steps import postgres as postgres
    from inithold.steps import python as python
    from inithold.steps import rabbitmq as rabbitmq
    from inithold.steps import redis as redis
    from inithold.steps import s3 as s3
    from inithold.steps import tcp as tcp


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - the point of this function
    from importlib.util import find_spec  # noqa: PLC0415 - the point of this function

    module = f"{__name__}.{name}"
    if name.startswith("_") or find_spec(module) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(module)
