"""The servers that an init service reaches, and how it reaches each: the ready steps of its plan.

A ready step must come true on the first start of an empty stack. So it logs in only as somebody whom the server
makes by itself, by its image's variables; else, and where init has no password, it waits for an open port.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from inithold.compose.new.environment import Environment, Variable
from inithold.compose.new.text import encoded, from_compose
from inithold.compose.read.tree import Mapping, Sequence
from inithold.compose.stack.servers import image_name, server_of
from inithold.compose.stack.ties import ties

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

_READY = {
    "postgresql": ("database", "database.ready"),
    "mysql": ("database", "database.ready"),
    "amqp": ("broker", "rabbitmq.ready"),
    "redis": ("cache", "redis.ready"),
}
# What a server makes on its first start, after the pages of the official images and Bitnami's: variables of the
# user, the user where there is none, variables of the database.
_MADE = {
    "postgresql": (("POSTGRES_USER", "POSTGRESQL_USERNAME"), "postgres", ("POSTGRES_DB", "POSTGRESQL_DATABASE")),
    "mysql": (("MYSQL_USER", "MARIADB_USER"), "root", ("MYSQL_DATABASE", "MARIADB_DATABASE")),
    "amqp": (
        ("RABBITMQ_DEFAULT_USER", "RABBITMQ_USERNAME"),
        "guest",
        ("RABBITMQ_DEFAULT_VHOST", "RABBITMQ_VHOST"),
    ),
}
# The parts of an address in variables: PGHOST, DB_USER, MYSQL_DATABASE, ...
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
    """A server of the stack.

    Args:
        name: of its service.
        technology: `postgresql`, `mysql`, `amqp`, `redis` or `tcp`.
        port: its usual one.
        why: what says that init uses it.
        environment: the variables of its service.
    """

    name: str
    technology: str
    port: int
    why: str
    environment: Environment


@dataclass(slots=True)
class Login:
    """How init logs in.

    Args:
        fields: of the step: `url`, or the parts.
        why: the variables that it was taken from.
        proven: the server makes this user and database by itself.
        several: init has others, too.
    """

    fields: dict[str, Any]
    why: str
    proven: bool
    several: bool = False

    def url(self, technology: str) -> str:
        """As one URL."""
        if "url" in self.fields:
            return str(self.fields["url"])
        fields = {key: encoded(str(value)) for key, value in self.fields.items() if key not in ("host", "port")}
        port = f":{self.fields['port']}" if "port" in self.fields else ""
        database = f"/{fields['database']}" if "database" in fields else ""
        return f"{technology}://{fields['user']}:{fields['password']}@{self.fields['host']}{port}{database}"


@dataclass(slots=True)
class Servers:
    """The servers that an init service reaches.

    Args:
        stack: the stack.
        service: the init service.
        own: its variables.
        chain: the names of all services whose work the plan has.
    """

    stack: Stack
    service: Service
    own: Environment
    chain: Collection[str]
    unknown: list[str] = field(default_factory=list)

    def waiting_for_init(self) -> set[str]:
        """The services that start after init, by whatever path: to wait for one of them is a deadlock."""
        needs = {name: {tie.target for tie in listed} for name, listed in ties(self.stack).items()}
        found = {self.service.name, *self.chain}
        while more := {name for name, targets in needs.items() if targets & found} - found:
            found |= more
        return found

    def servers(self) -> Iterator[Server]:
        """Those that init depends on, then those that its variables point to."""
        name, excluded = self.service.name, self.waiting_for_init()
        why = {each.target: f"{name} depends on {each.target}" for each in self.stack.dependencies.get(name, ())}
        for variable in self.own:
            address = variable.address
            if address is not None and self._reachable(address.host):
                why.setdefault(address.host, f"{variable.name} points to {address.host}")
        for target, reason in why.items():
            service = self.stack.project.services.get(target)
            one_shot = target in self.stack.inits or target in self.stack.probable
            known = self._known(service) if service is not None and not one_shot else None
            if target in excluded and not one_shot:
                self.unknown.append(f"{target}: {reason}, but it starts only after {name}: not waited for")
            elif service is not None and known is not None:
                shown = f"{reason} (image {image_name(service)})"
                yield Server(target, *known, shown, Environment(service, self.stack.project))

    def _reachable(self, name: str) -> bool:
        """Is it a service of this stack that starts with it, in a network that init shares?"""
        other = self.stack.project.services.get(name)
        if other is None:
            return False
        shared = (_names(other, "networks") or {"default"}) & (_names(self.service, "networks") or {"default"})
        return bool(shared) and _names(other, "profiles") <= _names(self.service, "profiles")

    def _known(self, service: Service) -> tuple[str, int] | None:
        found = server_of(service)
        if found is None or found[0] != "tcp":
            return found
        # Where init itself names a port, that is the one it uses.
        named = re.search(
            rf"(?<![\w.-]){re.escape(service.name)}:(\d+)\b", " ".join(each.value for each in self.own)
        )
        port = int(named[1]) if named else found[1]
        return ("tcp", port) if port else None

    def login(self, server: Server, *, presupposed: bool) -> Login | None:
        """How init logs in to a server; None where it has no way, or one that may not work on the first start.

        Args:
            server: the server.
            presupposed: the first thing init does is a migration that wants user and database to be there.
        """
        login = self._by_url(server) or self._by_parts(server) if server.technology in _READY else None
        return login if login is not None and (login.proven or presupposed) else None

    def _by_url(self, server: Server) -> Login | None:
        found: dict[tuple[str | None, str | None], Login] = {}
        for variable in sorted(self.own, key=_rank):
            address = variable.address
            if address is None or variable.jdbc or address.host != server.name:
                continue
            if {"rediss": "redis", "amqps": "amqp"}.get(
                address.technology, address.technology
            ) == server.technology:
                proven = server.technology == "redis" or _makes(server, address.user, address.database)
                each = Login({"url": f"${{{variable.name}}}"}, f"{variable.name} points to it", proven)
                found.setdefault((address.user, address.database), each)
        login = next((each for each in found.values() if each.proven), next(iter(found.values()), None))
        if login is not None:
            login.several = len(found) > 1
        return login

    def _by_parts(self, server: Server) -> Login | None:
        for prefix, base, path in self._prefixes(server):
            names = {key: [f"{prefix}{ending}" for ending in endings] for key, endings in _PARTS.items()}
            found = {key: each for key in _PARTS if (each := self.own.first(*names[key])) is not None}
            if not {"user", "password"} <= found.keys():
                continue
            fields = {
                key: base.get(key) or _reference(found[key]) for key in _PARTS if key in base or key in found
            }
            fields = {"host": server.name, **fields}
            proven = _makes(server, found["user"].value, found["database"].value if "database" in found else path)
            login = Login(fields, f"by {', '.join(each.name for each in found.values())}", proven)
            if server.technology == "mysql":
                # Parts alone would mean PostgreSQL.
                login.fields = {"url": login.url("mysql")}
            return login
        return None

    def _prefixes(self, server: Server) -> Iterator[tuple[str, dict[str, Any], str | None]]:
        """Beginnings of names; the fields and the database that a URL beside them gives."""
        hosts = [each for each in self.own if each.name.endswith(_PARTS["host"])]
        for variable in hosts:
            if variable.value == server.name:
                ending = next(each for each in _PARTS["host"] if variable.name.endswith(each))
                yield variable.name.removesuffix(ending), {}, None
        for variable in self.own:
            address = variable.address
            if address is None or not variable.jdbc or not variable.name.endswith("URL") or address.query:
                continue
            if (address.technology, address.host) == (server.technology, server.name):
                path = re.match(
                    r"(?:\$\{[^{}]*\}|[^?;])*", (variable.text or "").rpartition("://")[2].partition("/")[2]
                )
                written = from_compose(path[0] if path else "")
                base = {"host": server.name, "port": address.port, "database": written}
                yield variable.name.removesuffix("URL"), base, address.database
        if not {each.value for each in hosts} & self.stack.project.services.keys():
            yield from ((prefix, {}, None) for prefix in _PREFIXES.get(server.technology, ()))


def ready_step(server: Server, login: Login | None) -> tuple[str, str, dict[str, Any]]:
    """Id, kind and fields of the step that waits for a server."""
    if login is None:
        return re.sub(r"\W+", "-", server.name), "tcp.ready", {"address": f"{server.name}:{server.port}"}
    return *_READY[server.technology], login.fields


def _makes(server: Server, user: str | None, database: str | None) -> bool:
    """Does the server make this user and this database on its first start?"""
    users, default, databases = _MADE[server.technology]
    own_user, own_database = (
        server.environment.first(*names, *(f"{name}_FILE" for name in names)) for names in (users, databases)
    )
    its_user = own_user.value if own_user else default
    made = {own_database.value if own_database else its_user if server.technology == "postgresql" else "/"}
    made |= {"postgres"} if server.technology == "postgresql" else set()
    known = user in (its_user, default) if server.technology == "mysql" else user == its_user
    return known and (database or "/" if server.technology == "amqp" else database) in made


def _rank(variable: Variable) -> tuple[bool, bool, bool, int]:
    best = variable.name in ("DATABASE_URL", "RABBITMQ_URL", "AMQP_URL", "REDIS_URL")
    special = _SPECIAL.search(variable.name) is not None
    return not best, special, not variable.name.endswith("URL"), len(variable.name)


def _reference(variable: Variable) -> str:
    if variable.name.endswith("_FILE"):
        return f"${{secret:{PurePosixPath(variable.value).name}}}"
    return f"${{{variable.name}}}"


def _names(service: Service, key: str) -> set[str]:
    value = service.value(key)
    if isinstance(value, Mapping):
        return set(value.entries)
    return {getattr(item, "filled", "") for item in value.items} if isinstance(value, Sequence) else set()
