"""The step kinds: the built-in ones, and those of other packages (entry points of the group `inithold.steps`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from urllib.parse import unquote

from inithold.errors import UsageError
from inithold.steps.base import Step
from inithold.text.url import TECHNOLOGIES

KINDS: Mapping[str, tuple[str, str]] = {
    "alembic.upgrade": ("inithold.steps.alembic", "Upgrade"),
    "command.run": ("inithold.steps.command", "Run"),
    "database.ready": ("inithold.steps.database", "Ready"),
    "database.sql": ("inithold.steps.database", "Sql"),
    "database.tables": ("inithold.steps.database", "Tables"),
    "file.ready": ("inithold.steps.file", "Ready"),
    "http.ready": ("inithold.steps.http", "Ready"),
    "http.resource": ("inithold.steps.http", "Resource"),
    "mysql.database": ("inithold.steps.mysql", "Database"),
    "postgres.database": ("inithold.steps.postgres", "Database"),
    "postgres.roles": ("inithold.steps.postgres", "Roles"),
    "python.call": ("inithold.steps.python", "Call"),
    "rabbitmq.ready": ("inithold.steps.rabbitmq", "Ready"),
    "rabbitmq.topology": ("inithold.steps.rabbitmq", "Topology"),
    "redis.ready": ("inithold.steps.redis", "Ready"),
    "s3.bucket": ("inithold.steps.s3", "Bucket"),
    "tcp.ready": ("inithold.steps.tcp", "Ready"),
}
GROUP = "inithold.steps"
WAITS: Mapping[str, str] = {
    "tcp": "tcp.ready",
    "postgresql": "database.ready",
    "mysql": "database.ready",
    "sqlite": "database.ready",
    "amqp": "rabbitmq.ready",
    "amqps": "rabbitmq.ready",
    "redis": "redis.ready",
    "rediss": "redis.ready",
    "http": "http.ready",
    "https": "http.ready",
    "file": "file.ready",
}
"""The kind that waits for a URL, by technology."""
HOST_AND_PORT = re.compile(r"[\w.-]+:[0-9]+")
"""What people often write instead of a URL."""


class UnknownKind(LookupError):
    """No such step kind is built in or installed."""


class BrokenKind(UnknownKind):
    """A step kind is installed but cannot be loaded; the message says why."""


@cache
def load(kind: str) -> type[Step]:
    """Return the class of a step kind; imports only its own module.

    Raises:
        UnknownKind: there is no such kind.
        BrokenKind: it cannot be loaded.
    """
    if kind in KINDS:
        module, name = KINDS[kind]
        found = getattr(import_module(module), name)
    else:
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and only plug-ins need it

        point = next(iter(entry_points(group=GROUP, name=kind)), None)
        if point is None:
            raise UnknownKind(kind)
        try:
            found = point.load()
        except Exception as error:
            seen = f"{type(error).__name__}: {error}"
            raise BrokenKind(f"kind {kind!r} cannot be loaded: {point.value}: {seen}") from error
    if not (isinstance(found, type) and issubclass(found, Step)):
        raise BrokenKind(f"kind {kind!r} cannot be loaded: its entry point is not a subclass of inithold.Step")
    return found


def of_url(url: str) -> tuple[str, dict[str, str]]:
    """Return the kind that waits for a URL, and its fields.

    Raises:
        UsageError: it is not a URL that can be waited for.
    """
    scheme, separator, rest = url.partition("://")
    technology = TECHNOLOGIES.get(scheme.lower().partition("+")[0], "")
    if not separator or technology not in WAITS:
        known = ", ".join(f"{name}://" for name in WAITS)
        hint = f"for a port, write tcp://{url}" if HOST_AND_PORT.fullmatch(url) else None
        raise UsageError(
            f"cannot wait for {scheme + '://...' if separator else 'that'}: expected {known}", hint=hint
        )
    if technology == "tcp":
        return WAITS[technology], {"address": rest.rstrip("/")}
    if technology == "file":
        return WAITS[technology], {"path": unquote(rest)}
    return WAITS[technology], {"url": url}


def loadable() -> dict[str, type[Step]]:
    """Return every kind that can be loaded, by name."""
    found: dict[str, type[Step]] = {}
    for name in names():
        try:
            found[name] = load(name)
        except BrokenKind:
            continue
    return found


def names() -> list[str]:
    """Return the sorted names of all kinds, built in or installed."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and only plug-ins need it

    return sorted({*KINDS, *(point.name for point in entry_points(group=GROUP))})
