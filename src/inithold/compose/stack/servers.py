"""Finds the servers of a stack, who uses them, and init services that start before a server is ready."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.command import filled_words
from inithold.compose.stack.probe import Sight, read_probe
from inithold.compose.stack.ties import may_be_inactive

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place
    from inithold.compose.stack.command import Command
    from inithold.compose.stack.roles import Init, Stack

MEMCACHED = 11211
# Image name (without registry, folder and tag), technology, port; port 0: it depends on the stack's configuration.
_IMAGES = (
    (r"postgres(?:ql)?|postgis|pgvector|timescaledb(?:-ha)?|supabase-postgres|paradedb", "postgresql", 5432),
    (r"mysql|mariadb|mysql-server|percona(?:-server)?", "mysql", 3306),
    (r"rabbitmq", "amqp", 5672),
    (r"redis|redis-stack(?:-server)?|valkey(?:-bundle)?|keydb|dragonfly", "redis", 6379),
    (r"pgbouncer|pgpool|pgcat", "tcp", 5432),
    (r"cockroach", "tcp", 26257),
    (r"minio", "tcp", 9000),
    (r"clickhouse(?:-server)?", "tcp", 8123),
    (r"elasticsearch|opensearch", "tcp", 9200),
    (r"mongo|mongodb|mongodb-community-server", "tcp", 27017),
    (r"kafka|cp-kafka|redpanda", "tcp", 0),
    (r"memcached", "tcp", MEMCACHED),
    (r"nats", "tcp", 4222),
    (r"cassandra|scylla", "tcp", 9042),
    (r"mssql-server|azure-sql-edge", "tcp", 1433),
    (r"localstack(?:-pro)?", "tcp", 4566),
    (r"meilisearch", "tcp", 7700),
    (r"qdrant", "tcp", 6333),
    (r"couchdb", "tcp", 5984),
    (r"neo4j", "tcp", 7687),
    (r"influxdb", "tcp", 8086),
    (r"etcd", "tcp", 2379),
    (r"(?:cp-)?zookeeper", "tcp", 2181),
    (r"oracle-(?:xe|free)", "tcp", 1521),
)
DATABASES = (5432, 3306, 26257, 1433)
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
# `db`, `db:5432`, `me@mq/`, `me@tcp(db:3306)`, `host=db port=5432`, `Server=db;Port=5432`.
_HOST = re.compile(rf"(?:^|[@/,=(])({_NAME})(?=[:/,]|$)|=({_NAME})(?=[\s;])")
# A URL's host only: its user and database are often named like a service.
_AUTHORITY = re.compile(r"\S*?://(?:[^/@\s]*@)?([^/?#;\s]+)\S*")
# Variables whose value is not a host, even if a service has that name: DATABASE_USER=superset.
_NO_HOST = re.compile(
    r"(?:USER(?:NAME)?|PASS(?:WORD)?|PW|DB|DATABASE|NAME|SCHEMA|SECRET|TOKEN|KEY|BUCKET|ROLE|DIALECT|ENGINE|TYPE|DRIVER"
    r"|CONNECTION|ADAPTER|BACKEND|PROVIDER|STORE|TRANSPORT|MODE|PROFILES?|ENV)$",
    re.I,
)
_URL = re.compile(rf"://(?:[^/@\s]*@)?({_NAME})|(?:^|\s)(?:-h|-H|--host)[ =]?({_NAME})")
# Tools that do what init services do, connect once and give up. Other programs and scripts may wait by themselves.
PREPARES = re.compile(
    r"\balembic\b.*\bupgrade\b|\bmanage\.py\s+(?:migrate|loaddata|createsuperuser)|\bdjango-admin\s+migrate"
    r"|\bprisma\s+(?:migrate|db)\b|\b(?:rails|rake)\s+db:|(?:^|[\s/])(?:flyway|liquibase)\s|\batlas\s+(?:migrate|schema)\b"
    r"|\bgoose\b.*\bup\b|(?:^|\s)migrate\s+(?:\S+\s+)*-(?:path|source|database)\b|\bknex\b.*\bmigrate|\bdrizzle-kit\s+(?:migrate|push)"
    r"|\bsequelize(?:-cli)?\s+db:|\btypeorm\b.*\bmigration:run|\bartisan\s+migrate|\becto\.migrate\b|\bdotnet\s+ef\b"
    r"|\bsqlx\s+(?:migrate|database)\b|\bdiesel\s+(?:migration|setup|database)\b|\bsqitch\s+deploy\b|\bdbmate\s+(?:up|migrate)\b"
    r"|\bmc\s+(?:alias|mb|config)\b|\b(?:createdb|rabbitmqadmin|kafka-topics(?:\.sh)?)\s|\bflask\s+db\s+upgrade\b"
    r"|\bsuperset\s+(?:db|init)\b|\bairflow\s+db\b"
)
GIVES_UP = re.compile(
    rf"{PREPARES.pattern}|\b(?:curl|wget)\s|\baws\b.*--endpoint-url"
    r"|\b(?:psql|mysql|mariadb|mongosh|mongo(?=\s+-)|cqlsh|clickhouse-client)(?:\s|$)"
)
_WAITS = re.compile(
    r"\bwait[-_]?for\b|\bwait-?on\b|\bwait4x\b|\bdockerize\b|\bpg_isready\b|\bnc\s+-\w*z|\buntil\s|\bwhile\s|\bfor\s+\w+\s+in\b"
    r"|\bretry\b|--retry|--wait\b|-connectRetries|connect-retries|\binithold\s+(?:wait|health)\b"
)
_WAIT_FOR_IT = re.compile(r"\bwait[-_]for[-_]it(?:\.sh)?\s+(?P<options>.*?)(?:\s--\s|&&|;|$)", re.S)
_SLEEP = re.compile(r"(?:^|\s)sleep\s+(\d+)s?\s*(?:&&|;|\n)")
# `for i in 1 2 3; do`, `$(seq 3)`, `$(seq 1 3)`, `{1..3}`
_TRIES = re.compile(
    r"\bfor\s+\w+\s+in\s+(?:(?:\$\(seq\s+(?:1\s+)?|\{1\.\.)(?P<last>\d+)[)}]|(?P<listed>[\d ]+))\s*[;\n]"
    r"\s*do\b(?P<body>.*?)\bdone\b",
    re.S,
)
_SHORT = 30  # Seconds: the first start of a database may take as long.


@dataclass(frozen=True, slots=True)
class Server:
    """A server that an init service may connect to before it is ready.

    Args:
        name: of its service.
        port: None if unknown.
        place: where the init service names it.
        tested: it has a healthcheck that others can wait for.
    """

    name: str
    port: int | None
    place: Place
    tested: bool


def used_services(service: Service, stack: Stack) -> dict[str, Place]:
    """Return the services that this one depends on, links to or names as hosts, and where it does."""
    result = {entry.target: entry.entry.place for entry in stack.dependencies[service.name]}
    links = service.value("links")
    linked = [item for item in links.items if isinstance(item, Scalar)] if isinstance(links, Sequence) else []
    aliases = {alias: name for item in linked for name, _, alias in [item.filled.partition(":")]}
    named = [(item.filled.partition(":")[0], item.place) for item in linked]
    named += [
        (host, place)
        for variable, (text, place) in service.variables.items()
        for host in _hosts(text)
        if host != text or not _NO_HOST.search(variable)
    ]
    named += _in_command(service)
    for host, place in named:
        name = host if host in stack.project.services else aliases.get(host) or stack.hosts.get(host)
        if name in stack.project.services and name != service.name:
            result.setdefault(name, place)
    return result


def host_names(service: Service) -> set[str]:
    """Return the host names of a service, beside its own, that all others know."""
    result = {text for key in ("container_name", "hostname") if (text := service.text(key))}
    networks = service.value("networks")
    for network in networks.entries.values() if isinstance(networks, Mapping) else ():
        aliases = network.get("aliases") if isinstance(network, Mapping) else None
        result |= {each.filled for each in getattr(aliases, "items", ()) if isinstance(each, Scalar)}
    return result


def _hosts(text: str) -> list[str]:
    named = [name for authority in _AUTHORITY.findall(text) for name in re.findall(_NAME, authority)]
    return [*named, *(one or other for one, other in _HOST.findall(_AUTHORITY.sub("", text)))]


def _in_command(service: Service) -> list[tuple[str, Place]]:
    """The hosts that its command names, and where."""
    values = [value for field in ("entrypoint", "command") if (value := service.value(field)) is not None]
    return [
        (one or other, value.place)
        for value in values
        for one, other in _URL.findall(" ".join(filled_words(value)))
    ]


def advice_to_split(init: Init, stack: Stack) -> str | None:
    """What to do about an init that nobody may await, since its command reaches a service that depends on it."""
    needed = next(iter(needed_dependents(init, stack)), None)
    return needed and (
        f"make two of it, since its command needs {needed}, which waits for it: one that does what {needed} "
        f"needs, and holds, and one that waits for {needed}"
    )


def needed_dependents(init: Init, stack: Stack) -> list[str]:
    """The services that the command of `init` reaches and that depend on it: they must start before it is done."""
    return [
        name
        for name, _ in _in_command(init.service)
        if name in stack.project.services and init.name in stack.reaches(name)
    ]


def server_of(service: Service) -> tuple[str, int] | None:
    """Return technology and port of a well-known server image; port 0 if the stack configures it."""
    name = image_name(service)
    return next(((kind, port) for names, kind, port in _IMAGES if re.fullmatch(names, name, re.I)), None)


def image_name(service: Service) -> str:
    """Return the name of its image without registry, folder, tag and digest."""
    return (service.text("image") or "").partition("@")[0].rpartition("/")[2].partition(":")[0]


def unready_servers(init: Init, stack: Stack) -> list[Server]:
    """Return the servers that `init` uses without waiting for them; none if its command may wait itself."""
    if impatience(init.command) is None:
        return []
    awaited = {entry.target for entry in stack.dependencies[init.name]}
    named = set(re.findall(_NAME, init.command.text))
    result = []
    for name, place in used_services(init.service, stack).items():
        server = stack.project.services.get(name)
        if server is None or name in stack.inits or name in stack.probable or init.name in stack.reaches(name):
            continue
        if name not in awaited and may_be_inactive(server, init.service):
            continue
        known, tested = server_of(server), is_tested(server)
        port = known[1] if known is not None else 0
        # Many a variable is there for the other services that have the same ones.
        needed = name in awaited or name in named or port in DATABASES or "sleep" in init.command.text
        if needed and (known is not None or tested) and not stack.waits_on(init.name, name):
            result.append(Server(name, port or None, place, tested))
    return result


def is_tested(service: Service) -> bool:
    """Whether it has a healthcheck that shows when it is ready."""
    return read_probe(service.value("healthcheck")).sight not in (
        Sight.NONE,
        Sight.DISABLED,
        Sight.ALWAYS,
        Sight.NEVER,
    )


def impatience(command: Command) -> str | None:
    """Return why a command fails if its server is not ready, as a phrase after the name; None if it may wait."""
    if command.inithold and (command.waits or not command.wrapped):
        return None
    text = " ".join(command.task)
    waits = _WAIT_FOR_IT.search(text)
    if waits is not None:
        limit = re.search(r"(?:-t|--timeout)[ =]?(\d+)", waits["options"])
        seconds = int(limit[1]) if limit else 15
        strict = re.search(r"(?:^|\s)(?:-s|--strict)\b", waits["options"])
        return f"waits for {seconds} s at most, and then goes on" if 0 < seconds <= _SHORT and not strict else None
    if tries := _TRIES.search(text):
        count = int(tries["last"]) if tries["last"] else len(tries["listed"].split())
        pause = re.search(r"\bsleep\s+([\d.]+)", tries["body"])
        seconds = int(count * float(pause[1])) if pause else 0
        decides = re.search(r"\b(?:exit|return|set\s+-\w*e)\b", text) or _WAITS.search(text[tries.end() :])
        return f"waits for about {seconds} s, and then goes on" if 0 < seconds <= _SHORT and not decides else None
    if _WAITS.search(text):
        return None
    if sleep := _SLEEP.search(text):
        return f"sleeps for {sleep[1]} s and does not check"
    return "does not wait" if GIVES_UP.search(text) else None
