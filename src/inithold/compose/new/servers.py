"""Finds the servers that an init service uses, and how it logs in to them, for the ready steps of the plan.

A ready step must succeed on the first start of an empty stack. So it logs in only as the user that the server's
image creates from its variables; otherwise, or if init has no password, it waits for an open port.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inithold.compose.new.environment import Environment, Variable
from inithold.compose.new.text import encoded, from_compose
from inithold.compose.read.tree import plain
from inithold.compose.stack.servers import host_names, image_name, server_of
from inithold.compose.stack.ties import may_be_inactive, ties

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

READY = {
    "postgresql": ("database", "database.ready"),
    "mysql": ("database", "database.ready"),
    "amqp": ("broker", "rabbitmq.ready"),
    "redis": ("cache", "redis.ready"),
}
# What an image creates on its first start (documentation of the official and Bitnami images): the variables that
# name the user, the default user, the variables that name the database.
_MADE = {
    "postgresql": (("POSTGRES_USER", "POSTGRESQL_USERNAME"), "postgres", ("POSTGRES_DB", "POSTGRESQL_DATABASE")),
    "mysql": (("MYSQL_USER", "MARIADB_USER"), "root", ("MYSQL_DATABASE", "MARIADB_DATABASE")),
    "amqp": (
        ("RABBITMQ_DEFAULT_USER", "RABBITMQ_USERNAME"),
        "guest",
        ("RABBITMQ_DEFAULT_VHOST", "RABBITMQ_VHOST"),
    ),
}
# Endings of the variables that hold parts of an address: PGHOST, DB_USER, MYSQL_DATABASE, ...
_PARTS = {
    "host": ("HOST", "SERVER", "HOSTNAME", "ADDR", "ADDRESS"),
    "port": ("PORT",),
    "user": ("USER", "USERNAME", "DEFAULT_USER"),
    "password": ("PASSWORD_FILE", "PASS_FILE", "PASSWORD", "PASS", "PASSWD", "PWD", "DEFAULT_PASS"),
    "database": ("DB", "DATABASE", "DBNAME", "DB_NAME", "DATABASE_NAME", "NAME", "VHOST", "DEFAULT_VHOST"),
}
_PREFIXES = {
    "postgresql": ("POSTGRES_", "POSTGRESQL_", "PG", "DB_", "DATABASE_", "SQL_"),
    "mysql": ("MYSQL_", "MARIADB_", "DB_", "DATABASE_"),
    "amqp": ("RABBITMQ_", "AMQP_", "BROKER_"),
}
_SPECIAL = re.compile(r"ADMIN|MIGRAT|OWNER|SUPERUSER|DIRECT|ASYNC", re.I)


@dataclass(slots=True)
class Server:
    """A server of the stack; `name` is its service, `why` the reason to think that init uses it."""

    name: str
    technology: str  # `postgresql`, `mysql`, `amqp`, `redis` or `tcp`.
    port: int
    why: str
    environment: Environment

    def makes(self, user: str | None, database: str | None) -> bool:
        """Whether its image creates this user and database on its first start."""
        users, default, databases = _MADE[self.technology]
        own_user, own_database = (
            self.environment.first(*names, *(f"{name}_FILE" for name in names)) for names in (users, databases)
        )
        its_user = own_user.value if own_user else default
        its_database = its_user if self.technology == "postgresql" else "/"
        made = {own_database.value if own_database else its_database}
        if self.technology == "postgresql":
            made.add("postgres")
        known = user == its_user or (self.technology == "mysql" and user == default)
        return known and (database or "/" if self.technology == "amqp" else database) in made


@dataclass(slots=True)
class Login:
    """How init logs in: the fields `url`, or `host`, `user` and so on."""

    fields: dict[str, Any]
    why: str
    proven: bool  # The server's image creates this user and database.
    several: bool = False  # Init has other logins for the same server.

    def url(self, technology: str) -> str:
        """Return the login as one URL."""
        if "url" in self.fields:
            return str(self.fields["url"])
        part = {key: encoded(str(value)) for key, value in self.fields.items() if key not in ("host", "port")}
        port = f":{self.fields['port']}" if "port" in self.fields else ""
        database = f"/{part['database']}" if "database" in part else ""
        return f"{technology}://{part['user']}:{part['password']}@{self.fields['host']}{port}{database}"


def starting_after(stack: Stack, names: Collection[str]) -> set[str]:
    """Return these services and all that start after them, directly or not, with their host names and aliases.

    Waiting for one of them would be a deadlock.
    """
    needs = {name: {tie.target for tie in listed} for name, listed in ties(stack).items()}
    result = set(names)
    while more := {name for name, targets in needs.items() if targets & result} - result:
        result |= more
    for service in [stack.project.services[name] for name in result]:
        result |= host_names(service)
    return result


def used_servers(
    stack: Stack, own: Environment, excluded: Collection[str], unknown: list[str]
) -> Iterator[Server]:
    """Yield the servers that a service depends on, then those that its variables point to.

    Servers in `excluded` start only after this service: they are noted in `unknown` instead.
    """
    name = own.service.name
    reasons = {each.target: f"{name} depends on {each.target}" for each in stack.dependencies.get(name, ())}
    for variable in own.values():
        address = variable.address
        server = stack.project.services.get(address.host) if address is not None else None
        if server is not None and not may_be_inactive(server, own.service):
            # Only if both are in the same network.
            here, there = ({*(plain(each.value("networks")) or ["default"])} for each in (own.service, server))
            if here & there:
                reasons.setdefault(server.name, f"{variable.name} points to {server.name}")
    for target, reason in reasons.items():
        service = stack.project.services.get(target)
        if service is None or target in stack.inits or target in stack.probable:
            continue
        if target in excluded:
            unknown.append(f"{target}: {reason}, but it starts only after {name}: not waited for")
            continue
        technology, port = server_of(service) or ("", 0)
        if technology == "tcp":
            # A port named in init's own variables is the one it uses.
            named = re.compile(rf"(?<![\w.-]){re.escape(target)}:(\d+)\b")
            port = next((int(found[1]) for each in own.values() if (found := named.search(each.value))), port)
        if port:
            why = f"{reason} (image {image_name(service)})"
            yield Server(target, technology, port, why, Environment(service, stack.project))


def login(stack: Stack, own: Environment, server: Server, *, presupposed: bool) -> Login | None:
    """Return how a service logs in to a server; None if unknown, or if it might fail on the first start.

    A login is `presupposed` to work if the service starts with a migration of that database.
    """
    if server.technology not in READY:
        return None
    result = _login_by_url(own, server) or _login_by_parts(stack, own, server)
    return result if result is not None and (result.proven or presupposed) else None


def _login_by_url(own: Environment, server: Server) -> Login | None:
    logins: dict[tuple[str | None, str | None], Login] = {}
    for variable in sorted(own.values(), key=_rank):
        address = variable.address
        if address is None or variable.jdbc or address.host != server.name:
            continue
        technology = {"rediss": "redis", "amqps": "amqp"}.get(address.technology, address.technology)
        if technology == server.technology:
            proven = technology == "redis" or server.makes(address.user, address.database)
            each = Login({"url": f"${{{variable.name}}}"}, f"{variable.name} points to it", proven)
            logins.setdefault((address.user, address.database), each)
    result = next((each for each in logins.values() if each.proven), next(iter(logins.values()), None))
    if result is not None:
        result.several = len(logins) > 1
    return result


def _rank(variable: Variable) -> tuple[bool, bool, bool, int]:
    best = variable.name in ("DATABASE_URL", "RABBITMQ_URL", "AMQP_URL", "REDIS_URL")
    special = _SPECIAL.search(variable.name) is not None
    return not best, special, not variable.name.endswith("URL"), len(variable.name)


def _login_by_parts(stack: Stack, own: Environment, server: Server) -> Login | None:
    for prefix, base, path in _prefixes(stack, own, server):
        given = {key: own.first(*(f"{prefix}{ending}" for ending in endings)) for key, endings in _PARTS.items()}
        parts = {key: variable for key, variable in given.items() if variable is not None}
        if not {"user", "password"} <= parts.keys():
            continue
        fields = {key: base.get(key) or parts[key].reference for key in _PARTS if key in base or key in parts}
        database = parts["database"].value if "database" in parts else path
        why = f"by {', '.join(each.name for each in parts.values())}"
        proven = server.makes(parts["user"].value, database)
        result = Login({"host": server.name, **fields}, why, proven)
        if server.technology == "mysql":
            # `database.ready` with parts instead of a URL means PostgreSQL.
            result.fields = {"url": result.url("mysql")}
        return result
    return None


def _prefixes(stack: Stack, own: Environment, server: Server) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield prefixes of variable names, each with the fields and database known from a JDBC URL of that prefix."""
    hosts = [each for each in own.values() if each.name.endswith(_PARTS["host"])]
    for variable in hosts:
        if variable.value == server.name:
            ending = next(each for each in _PARTS["host"] if variable.name.endswith(each))
            yield variable.name.removesuffix(ending), {}, None
    for variable in own.values():
        address = variable.address
        if address is None or not variable.jdbc or not variable.name.endswith("URL") or address.query:
            continue
        if (address.technology, address.host) == (server.technology, server.name):
            written = (variable.text or "").rpartition("://")[2].partition("/")[2]
            path = re.match(r"(?:\$\{[^{}]*\}|[^?;])*", written)
            base = {"host": server.name, "port": address.port, "database": from_compose(path[0] if path else "")}
            yield variable.name.removesuffix("URL"), base, address.database
    if not {each.value for each in hosts} & stack.project.services.keys():
        yield from ((prefix, {}, None) for prefix in _PREFIXES.get(server.technology, ()))
