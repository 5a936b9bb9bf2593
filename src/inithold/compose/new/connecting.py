"""How the init service reaches a server: by a variable with its URL, by its parts, or as it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inithold.compose.new.standing import reference, stands
from inithold.compose.new.text import encoded

if TYPE_CHECKING:
    from inithold.compose.new.environment import Environment, Variable
    from inithold.compose.new.servers import Server

_HOSTS = ("HOST", "SERVER", "HOSTNAME", "ADDR", "ADDRESS")
_PORTS = ("PORT",)
_USERS = ("USER", "USERNAME", "DEFAULT_USER")
_PASSWORDS = ("PASSWORD", "PASS", "PASSWD", "PWD", "DEFAULT_PASS")
_DATABASES = ("DB", "DATABASE", "DBNAME", "DB_NAME", "DATABASE_NAME", "NAME", "VHOST", "DEFAULT_VHOST")
_PREFIXES = {
    "postgresql": ("POSTGRES_", "POSTGRESQL_", "PG", "DB_", "DATABASE_", "SQL_"),
    "mysql": ("MYSQL_", "MARIADB_", "DB_", "DATABASE_"),
    "amqp": ("RABBITMQ_", "AMQP_", "BROKER_"),
    "redis": ("REDIS_", "VALKEY_", "CACHE_"),
}
_NAMES = {
    "postgresql": r"(?:^|_)(?:DATABASE|DB|POSTGRES(?:QL)?|PG)_?(?:URL|URI|DSN)$|SQLALCHEMY",
    "mysql": r"(?:^|_)(?:DATABASE|DB|MYSQL|MARIADB)_?(?:URL|URI|DSN)$|SQLALCHEMY",
    "amqp": r"(?:^|_)(?:RABBIT(?:MQ)?|AMQP|BROKER)_?(?:URL|URI)$",
    "redis": r"(?:^|_)(?:REDIS|VALKEY|CACHE|KV)_?(?:URL|URI)$",
}
_BEST = ("DATABASE_URL", "RABBITMQ_URL", "AMQP_URL", "REDIS_URL")
SCHEME = {"postgresql": "postgresql", "mysql": "mysql", "amqp": "amqp", "redis": "redis"}


@dataclass(slots=True)
class Connection:
    """How a step is told where a server is and how to be let in.

    Args:
        fields: `url`, or the parts.
        database: what tells two databases of one server apart.
        why: what it was taken from.
        variable: the variable that holds the URL, if any.
    """

    fields: dict[str, str]
    database: str
    why: str
    variable: str | None = None

    def url(self, technology: str) -> str:
        """One URL, of the parts where there is none."""
        if "url" in self.fields:
            return self.fields["url"]
        user, password = self.fields.get("user"), self.fields.get("password")
        info = encoded(user) if user else ""
        info += f":{encoded(password)}" if password else ""
        port = f":{self.fields['port']}" if "port" in self.fields else ""
        database = f"/{encoded(self.fields['database'])}" if "database" in self.fields else ""
        at = "@" if info else ""
        return f"{SCHEME[technology]}://{info}{at}{self.fields['host']}{port}{database}"


@dataclass(slots=True)
class _Parts:
    prefix: str
    found: dict[str, Variable] = field(default_factory=dict)


def connections(
    server: Server, own: Environment, others: Sequence[Environment], *, alone: bool
) -> list[Connection]:
    """Every way in that init has, one for each database; at least one.

    Args:
        server: the server.
        own: the variables of init.
        others: those of the services beside it, its dependents first.
        alone: it is the only server of its technology.
    """
    urls = _by_url(server, own, alone=alone)
    if urls:
        return urls
    parts = _by_parts(server, own, alone=alone)
    if parts is not None:
        return [parts]
    for other in others:
        for variable in sorted(_urls_to(server, other), key=_rank)[:1]:
            why = f"{variable.name}, as {other.service.name} has it: give it to init, too"
            return [Connection({"url": f"${{{variable.name}}}"}, "", why, variable.name)]
    return [_as_itstands(server, own)]


def _urls_to(server: Server, environment: Environment) -> list[Variable]:
    found = []
    for variable in environment:
        url = variable.url
        if url is None or not url.usable or variable.aside:
            continue
        if url.technology == server.technology and url.host == server.name:
            found.append(variable)
    return found


def _by_url(server: Server, own: Environment, *, alone: bool) -> list[Connection]:
    found = _urls_to(server, own)
    sure = bool(found)
    if not found and alone:
        # What it holds is not known here: its name says what it is for.
        pattern = _NAMES.get(server.technology, "$^")
        found = [
            each
            for each in own
            if re.search(pattern, each.name) and "<" in each.value and not each.aside and each.url is None
        ]
    by_database: dict[str, Connection] = {}
    for variable in sorted(found, key=_rank):
        url = variable.url
        database = url.path if url and server.technology in ("postgresql", "mysql", "amqp") else ""
        seen = "points to it" if sure else "is named like its URL; what it holds is not known here"
        why = f"{variable.name} {seen}"
        by_database.setdefault(
            database, Connection({"url": f"${{{variable.name}}}"}, database, why, variable.name)
        )
    return list(by_database.values())


def administrative(server: Server, own: Environment, taken: Connection) -> Connection | None:
    """A second URL of the same database that is named for administration: for what changes the schema."""
    for variable in _urls_to(server, own):
        url = variable.url
        if variable.name == taken.variable or url is None or url.path != taken.database:
            continue
        if re.search(r"ADMIN|MIGRAT|OWNER|SUPERUSER|DIRECT", variable.name, re.I):
            why = f"{variable.name} by its name, not {taken.variable}"
            return Connection({"url": f"${{{variable.name}}}"}, url.path, why, variable.name)
    return None


def _rank(variable: Variable) -> tuple[bool, bool, bool, int]:
    special = re.search(r"ADMIN|MIGRAT|OWNER|SUPERUSER|DIRECT|ASYNC", variable.name, re.I) is not None
    return variable.name not in _BEST, special, not variable.name.endswith("URL"), len(variable.name)


def _by_parts(server: Server, own: Environment, *, alone: bool) -> Connection | None:
    if server.technology not in SCHEME:
        return None
    for parts in _prefixes(server, own, alone=alone):
        for key, suffixes in (
            ("port", _PORTS),
            ("user", _USERS),
            ("password", _PASSWORDS),
            ("database", _DATABASES),
        ):
            variable = own.first(f"{parts.prefix}{suffix}" for suffix in suffixes)
            secret = (
                own.first(f"{parts.prefix}{suffix}_FILE" for suffix in suffixes) if key == "password" else None
            )
            if (variable := secret or variable) is not None:
                parts.found[key] = variable
        if parts.found.keys() & {"user", "password", "database"} or (
            server.technology == "redis" and "host" in parts.found
        ):
            return _of_parts(server, parts)
    return None


def _prefixes(server: Server, own: Environment, *, alone: bool) -> list[_Parts]:
    found: list[_Parts] = []
    for variable in own:
        suffix = next((each for each in _HOSTS if variable.name.endswith(each)), None)
        if suffix and variable.value == server.name and not variable.aside:
            found.append(_Parts(variable.name.removesuffix(suffix), {"host": variable}))
        url = variable.url
        if url is None or url.usable or not variable.name.endswith("URL"):
            continue
        if url.technology == server.technology and url.host == server.name:
            found.append(_Parts(variable.name.removesuffix("URL"), {"jdbc": variable}))
    if alone:
        found += [_Parts(prefix) for prefix in _PREFIXES.get(server.technology, ())]
    return found


def _of_parts(server: Server, parts: _Parts) -> Connection:
    found = parts.found
    fields = {"host": f"${{{found['host'].name}}}" if "host" in found else server.name}
    url = found["jdbc"].url if "jdbc" in found else None
    if url is not None and url.port:
        fields["port"] = url.port
    for key in ("port", "user", "password", "database"):
        if key in found:
            fields[key] = reference(found[key])
    if "database" not in fields and url is not None and url.path:
        fields["database"] = url.path
    for key, value in stands(server, None).items():
        # What init has no variable for is as the server is told.
        if key in ("password", "database"):
            fields.setdefault(key, value)
    fields = {key: fields[key] for key in ("host", "port", "user", "password", "database") if key in fields}
    names = ", ".join(each.name for each in found.values())
    return _finished(server, Connection(fields, "", f"by {names}"))


def _finished(server: Server, connection: Connection) -> Connection:
    if server.technology == "mysql":
        # Parts alone would mean PostgreSQL.
        return Connection({"url": connection.url("mysql")}, connection.database, connection.why)
    return connection


def _as_itstands(server: Server, own: Environment) -> Connection:
    if server.environment is None:
        return _finished(server, Connection(stands(server, own), "", "by its name"))
    why = f"as {server.name} is told on its first start: init has no address of it"
    return _finished(server, Connection(stands(server, own), "", why))
