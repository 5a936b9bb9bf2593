"""The contract: whatever kind meets a server, the same state of it means the same.

"Not yet" is tried again, "rejected" is final in `run` and tried again in `wait`, "never" is final: what may heal
is retried. A new kind must declare itself here: in `KINDS`, or in `NO_SERVER`, with why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from alembic_project import SYNC_ENV, AlembicProject
from conftest import Vhost
from fake_server import (
    Behaviour,
    answer_as_web,
    be_silent,
    fail_to_fork,
    fake_server,
    hang_up,
    hang_up_at_once,
    refuse_as_amqp,
    refuse_as_mysql,
    refuse_as_postgresql,
    refuse_as_redis,
    reset,
    send_zeros,
    speak_smtp,
)
from inithold.errors import NotYet, Rejected, StepFailed
from inithold.steps import database, http, mysql, postgres, rabbitmq, redis, s3, tcp
from inithold.steps.base import Step
from inithold.steps.registry import KINDS as REGISTERED
from inithold.steps.registry import load
from inithold.testing import check, drive
from relay import relay
from servers.mariadb import MariaDB
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from servers.seaweedfs import SeaweedFS

pytestmark = pytest.mark.usefixtures("no_authorities")

SECRET = "pw-nobody-may-see"
NOT_YET, REJECTED, NEVER, IN_PLACE = "not yet", "rejected", "never", "in place"
Make = Callable[[int, Path], Step]


class Kind(NamedTuple):
    """How a kind meets a server.

    Attributes:
        family: whose protocol it speaks.
        make: the step, for a server on a port of 127.0.0.1; a folder of its own may hold files.
        few: whether some states must do, since each takes a worker some seconds.
    """

    family: str
    make: Make
    few: bool = False


def _postgresql(port: int) -> str:
    return f"postgresql://app:{SECRET}@127.0.0.1:{port}/games?connect_timeout=2"


def _mysql(port: int) -> str:
    return f"mysql://app:{SECRET}@127.0.0.1:{port}/games?connect_timeout=2"


def _amqp(port: int) -> str:
    return f"amqp://app:{SECRET}@127.0.0.1:{port}/games"


def _alembic(url: str, folder: Path, env: str = SYNC_ENV) -> Step:
    project = AlembicProject(folder / "project", env)
    project.tables("users")
    return project.upgrade(url)


def _definitions(port: int, folder: Path) -> Step:
    file = folder / "definitions.json"
    file.write_text('{"policies": [{"name": "p", "pattern": "^q", "definition": {"max-length": 1}}]}')
    management_url = f"http://app:{SECRET}@127.0.0.1:{port}"
    return rabbitmq.Topology(url=_amqp(port), management_url=management_url, definitions=str(file))


def _bucket(port: int, folder: Path) -> Step:
    return s3.Bucket(endpoint=f"http://127.0.0.1:{port}", bucket="games", access_key="app", secret_key=SECRET)


# A table whose name cannot be read: only the worker can tell.
SLOW_ENV = SYNC_ENV.replace("configure(", 'configure(version_table=str("other"), ')
FEW = ("gone at once", "starting", "trouble of its system", "wrong password", "unknown database")
ROLES = [postgres.Role(name="app")]
KINDS = {
    "database.ready": Kind("postgresql", lambda port, _: database.Ready(url=_postgresql(port))),
    "database.tables": Kind(
        "postgresql", lambda port, _: database.Tables(url=_postgresql(port), tables=["users"])
    ),
    "database.sql": Kind(
        "postgresql", lambda port, _: database.Sql(url=_postgresql(port), sql="SELECT 1", unless="SELECT 1")
    ),
    "postgres.database": Kind("postgresql", lambda port, _: postgres.Database(url=_postgresql(port))),
    "postgres.roles": Kind("postgresql", lambda port, _: postgres.Roles(url=_postgresql(port), roles=ROLES)),
    "alembic.upgrade": Kind("postgresql", lambda port, folder: _alembic(_postgresql(port), folder)),
    "alembic.upgrade, by its own env.py": Kind(
        "postgresql", lambda port, folder: _alembic(_postgresql(port), folder, SLOW_ENV), few=True
    ),
    "database.ready on MySQL": Kind("mysql", lambda port, _: database.Ready(url=_mysql(port))),
    "database.sql on MySQL": Kind(
        "mysql", lambda port, _: database.Sql(url=_mysql(port), sql="SELECT 1", unless="SELECT 1")
    ),
    "mysql.database": Kind("mysql", lambda port, _: mysql.Database(url=_mysql(port))),
    "alembic.upgrade on MySQL": Kind("mysql", lambda port, folder: _alembic(_mysql(port), folder)),
    "rabbitmq.ready": Kind("amqp", lambda port, _: rabbitmq.Ready(url=_amqp(port))),
    "rabbitmq.topology": Kind("amqp", lambda port, _: rabbitmq.Topology(url=_amqp(port), queues=[{"name": "q"}])),  # type: ignore[list-item]
    "rabbitmq.topology, by its management API": Kind("http api", _definitions),
    "redis.ready": Kind("redis", lambda port, _: redis.Ready(url=f"redis://:{SECRET}@127.0.0.1:{port}")),
    "http.ready": Kind("http", lambda port, _: http.Ready(url=f"http://127.0.0.1:{port}/health")),
    "http.resource": Kind("http api", lambda port, _: http.Resource(url=f"http://127.0.0.1:{port}/games")),
    "s3.bucket": Kind("s3", _bucket),
    "tcp.ready": Kind("tcp", lambda port, _: tcp.Ready(address=f"127.0.0.1:{port}")),
}
NO_SERVER = {
    "command.run": "runs a program, which judges its servers itself",
    "file.ready": "looks at a file",
    "python.call": "runs a function, which judges its servers itself",
}

XML = '<?xml version="1.0"?><Error><Code>{}</Code><Message>.</Message></Error>'
ANY: dict[str, tuple[Behaviour, str]] = {
    "gone at once": (hang_up_at_once, NOT_YET),
    "gone before an answer": (hang_up, NOT_YET),
    "reset": (reset, NOT_YET),
    "another protocol": (speak_smtp, NEVER),
}
"""What any server may do."""
WEB = {
    "asked too slowly": (answer_as_web(408), NOT_YET),
    "too early": (answer_as_web(425), NOT_YET),
    "too many requests": (answer_as_web(429), NOT_YET),
    "in trouble": (answer_as_web(500), NOT_YET),
    "a proxy that does not reach it": (answer_as_web(502), NOT_YET),
    "starting": (answer_as_web(503), NOT_YET),
    "a proxy that gets no answer": (answer_as_web(504), NOT_YET),
    "no room": (answer_as_web(507), NOT_YET),
}
"""What any server of HTTP may answer."""
STATES: dict[str, dict[str, tuple[Behaviour, str]]] = {
    "postgresql": {
        **ANY,
        "zeros": (send_zeros, NEVER),
        "starting": (refuse_as_postgresql("57P03", "the database system is starting up"), NOT_YET),
        "restarting": (refuse_as_postgresql("57P01", "terminating connection"), NOT_YET),
        "crashed": (refuse_as_postgresql("57P02", "terminating connection"), NOT_YET),
        "too many connections": (refuse_as_postgresql("53300", "sorry, too many clients already"), NOT_YET),
        "no disk": (refuse_as_postgresql("53100", "could not extend file"), NOT_YET),
        "a limit of its configuration": (refuse_as_postgresql("53400", "limit exceeded"), NOT_YET),
        "trouble of its system": (refuse_as_postgresql("58000", "could not fork"), NOT_YET),
        "no process": (fail_to_fork, NOT_YET),
        "idle for too long": (refuse_as_postgresql("25P03", "idle-in-transaction timeout"), NOT_YET),
        "nobody knows": (refuse_as_postgresql("40003", "statement completion unknown"), NOT_YET),
        "wrong password": (refuse_as_postgresql("28P01", "contraseña incorrecta", severity="FATALE"), REJECTED),
        "not allowed": (refuse_as_postgresql("28000", "no pg_hba.conf entry"), REJECTED),
        "unknown database": (refuse_as_postgresql("3D000", 'database "games" does not exist'), REJECTED),
        "broken": (refuse_as_postgresql("XX001", "data corrupted"), NEVER),
    },
    "mysql": {
        **ANY,
        "zeros": (send_zeros, NEVER),
        "too many connections": (refuse_as_mysql(1040, "Too many connections"), NOT_YET),
        "too many connections of the user": (refuse_as_mysql(1203, "more than max_user_connections"), NOT_YET),
        "a limit of the user": (refuse_as_mysql(1226, "has exceeded the max_user_connections"), NOT_YET),
        "no disk": (refuse_as_mysql(1021, "Disk full (tmp); waiting for someone to free some space"), NOT_YET),
        "no thread": (refuse_as_mysql(1135, "Can't create a new thread (errno 11)"), NOT_YET),
        "restarting": (refuse_as_mysql(1053, "Server shutdown in progress"), NOT_YET),
        "killed": (refuse_as_mysql(1927, "Connection was killed"), NOT_YET),
        "killed, as MySQL says it": (refuse_as_mysql(3169, "The session was killed"), NOT_YET),
        "its network": (refuse_as_mysql(1161, "Got timeout writing communication packets"), NOT_YET),
        "wrong password": (refuse_as_mysql(1045, "Access denied"), REJECTED),
        "not allowed": (refuse_as_mysql(1130, "Host is not allowed to connect"), REJECTED),
        "unknown database": (refuse_as_mysql(1049, "Unknown database"), REJECTED),
        "broken": (refuse_as_mysql(1105, "Unknown error"), NEVER),
    },
    "amqp": {
        **ANY,
        # To pika it is closed in the handshake, as by a broker that starts; the hint names the port.
        "another protocol": (speak_smtp, NOT_YET),
        "restarting": (refuse_as_amqp(320, "CONNECTION_FORCED - broker forced connection closure"), NOT_YET),
        "starting": (refuse_as_amqp(541, "INTERNAL_ERROR - vhost 'games' is down"), NOT_YET),
        "too many connections": (
            refuse_as_amqp(530, "NOT_ALLOWED - access to vhost 'games' refused: connection limit (1) is reached"),
            NOT_YET,
        ),
        "wrong password": (refuse_as_amqp(403, "ACCESS_REFUSED - Login was refused"), REJECTED),
        "not allowed": (refuse_as_amqp(530, "NOT_ALLOWED - access to vhost 'games' refused"), REJECTED),
        "not allowed in rate-limit": (
            refuse_as_amqp(530, "NOT_ALLOWED - access to vhost 'rate-limit' refused for user 'app'"),
            REJECTED,
        ),
        "unknown database": (refuse_as_amqp(530, "NOT_ALLOWED - vhost rate-limit not found"), REJECTED),
        "broken": (refuse_as_amqp(501, "FRAME_ERROR - cannot decode"), NEVER),
    },
    "redis": {
        **ANY,
        "starting": (refuse_as_redis("LOADING Redis is loading the dataset in memory"), NOT_YET),
        "too many connections": (refuse_as_redis("ERR max number of clients reached"), NOT_YET),
        "wrong password": (refuse_as_redis("WRONGPASS invalid username-password pair"), REJECTED),
        "not allowed": (refuse_as_redis("NOPERM this user has no permissions"), REJECTED),
    },
    # It waits for a status, whichever others come before.
    "http": {
        **ANY,
        **WEB,
        "wrong password": (answer_as_web(401), NOT_YET),
    },
    "http api": {
        **ANY,
        **WEB,
        "cannot do that": (answer_as_web(501), NEVER),
        "moved": (answer_as_web(301, headers="Location: https://127.0.0.1/\r\n"), NEVER),
        "wrong password": (answer_as_web(401), REJECTED),
        "not allowed": (answer_as_web(403), REJECTED),
        "broken": (answer_as_web(400), NEVER),
    },
    "s3": {
        **ANY,
        **WEB,
        "cannot do that": (answer_as_web(501), NEVER),
        "moved": (answer_as_web(301, headers="Location: https://127.0.0.1/\r\n"), NEVER),
        "starting": (answer_as_web(503, XML.format("ServiceUnavailable").encode()), NOT_YET),
        "too many connections": (answer_as_web(503, XML.format("SlowDown").encode()), NOT_YET),
        "wrong password": (answer_as_web(403, XML.format("SignatureDoesNotMatch").encode()), REJECTED),
        "unknown user": (answer_as_web(403, XML.format("InvalidAccessKeyId").encode()), REJECTED),
    },
    # Whoever accepts is there.
    "tcp": {name: (behaviour, IN_PLACE) for name, (behaviour, _) in ANY.items()},
}


def verdict(step: Step) -> str:
    try:
        check(step)
    except NotYet as error:
        said, result = error, NOT_YET
    except Rejected as error:
        said, result = error, REJECTED
    except StepFailed as error:
        said, result = error, NEVER
    else:
        return IN_PLACE
    assert SECRET not in f"{said.message} {said.hint}"
    assert result == NOT_YET or said.hint, f"{said.message}: no hint"
    return result


def test_every_kind_has_declared_itself() -> None:
    declared = {name.partition(" on ")[0].partition(",")[0] for name in KINDS} | set(NO_SERVER)
    assert declared == set(REGISTERED)
    assert {kind.family for kind in KINDS.values()} == set(STATES)
    assert all(load(name).kind == name for name in REGISTERED)


@pytest.mark.parametrize("name", KINDS)
def test_nobody_listens(name: str, tmp_path: Path) -> None:
    with closed_port() as port:
        assert verdict(KINDS[name].make(port, tmp_path)) == NOT_YET


@pytest.mark.parametrize("name", KINDS)
def test_states(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    results = {}
    states = {state: it for state, it in STATES[kind.family].items() if state in FEW or not kind.few}
    for number, (state, (behaviour, _)) in enumerate(states.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with fake_server(behaviour) as port:
            results[state] = verdict(kind.make(port, folder))
    assert results == {state: expected for state, (_, expected) in states.items()}


@pytest.mark.parametrize("name", [name for name in KINDS if KINDS[name].family != "tcp"])
def test_silence_is_not_yet_and_bounded(name: str, tmp_path: Path) -> None:
    with fake_server(be_silent) as port:
        driven = drive(KINDS[name].make(port, tmp_path), timeout=0.5)
    assert driven.outcome == "failed"
    assert driven.reason.startswith("its time (500ms) is up"), driven.reason


# -- TLS


TLS: dict[str, Make] = {
    "database.ready": lambda port, _: database.Ready(url=f"{_postgresql(port)}&sslmode=require"),
    "database.ready on MySQL": lambda port, _: database.Ready(url=f"{_mysql(port)}&ssl_mode=REQUIRED"),
    "rabbitmq.ready": lambda port, _: rabbitmq.Ready(url=_amqp(port).replace("amqp", "amqps", 1)),
    "redis.ready": lambda port, _: redis.Ready(url=f"rediss://:{SECRET}@127.0.0.1:{port}"),
    "http.ready": lambda port, _: http.Ready(url=f"https://127.0.0.1:{port}/"),
    "s3.bucket": lambda port, _: s3.Bucket(
        endpoint=f"https://127.0.0.1:{port}", bucket="games", access_key="app", secret_key=SECRET
    ),
}


def alert(description: int, *, first: bytes = b"", after: int = 1) -> Behaviour:
    """Answer a TLS handshake with a fatal alert of RFC 8446; what the protocol says before comes first."""

    def behaviour(connection: object) -> None:
        import socket

        assert isinstance(connection, socket.socket)
        if first.startswith(b"S"):
            connection.recv(8)
        if first:
            connection.sendall(first)
        if after > 1:
            connection.recv(36)  # MySQL's request for TLS
        connection.recv(65536)
        connection.sendall(bytes([21, 3, 3, 0, 2, 2, description]))
        connection.recv(1024)

    return behaviour


# MySQL's greeting: protocol 10, version, thread, salt, capabilities with SSL and CLIENT_PLUGIN_AUTH.
GREETING = (
    b"\x0a8.0.0\0"
    + b"\x01\0\0\0"
    + b"12345678\0"
    + b"\xff\xff"
    + b"\x21\x02\0"
    + b"\xff\xdf\x15"
    + bytes(10)
    + b"123456789012\0mysql_native_password\0"
)


@pytest.mark.parametrize("name", TLS)
@pytest.mark.parametrize(("description", "expected"), [(80, NOT_YET), (40, NEVER)], ids=["internal", "refused"])
def test_tls(name: str, description: int, expected: str, tmp_path: Path) -> None:
    greeting = len(GREETING).to_bytes(3, "little") + b"\0" + GREETING
    behaviours = {
        "database.ready": alert(description, first=b"S"),
        "database.ready on MySQL": alert(description, first=greeting, after=2),
    }
    with fake_server(behaviours.get(name, alert(description))) as port:
        assert verdict(TLS[name](port, tmp_path)) == expected


# -- gone in mid-apply, on real servers


def test_gone_in_mid_apply_on_postgresql(postgresql: PostgreSQL, database: str, tmp_path: Path) -> None:
    from inithold.steps import database as kinds

    def through(port: int, url: str = database) -> str:
        return url.replace(f":{postgresql.port}/", f":{port}/")

    name = f"gone_{database.rpartition('_')[2]}"
    cases: list[tuple[bytes, Callable[[int], Step]]] = [
        (
            b"CREATE TABLE gone",
            lambda port: kinds.Sql(
                url=through(port), sql="CREATE TABLE gone ()", unless="SELECT to_regclass('gone') IS NOT NULL"
            ),
        ),
        (b"CREATE DATABASE", lambda port: postgres.Database(url=through(port, postgresql.dsn(name)))),
        (b"CREATE ROLE", lambda port: postgres.Roles(url=through(port), roles=[postgres.Role(name=name)])),
        (b"CREATE TABLE users", lambda port: _alembic(through(port), tmp_path)),
    ]
    try:
        for marker, make in cases:
            _survives(marker, postgresql.port, make)
    finally:
        postgresql.execute(f"DROP DATABASE IF EXISTS {name}")
        postgresql.execute(f"DROP ROLE IF EXISTS {name}")


def test_gone_in_mid_apply_on_mysql(mariadb: MariaDB, mysql_database: str, tmp_path: Path) -> None:
    from inithold.steps import database as kinds

    def through(port: int) -> str:
        return mysql_database.replace(f":{mariadb.port}/", f":{port}/")

    name = f"gone_{mysql_database.rpartition('_')[2]}"
    try:
        _survives(
            b"INSERT INTO",
            mariadb.port,
            lambda port: kinds.Sql(
                url=through(port),
                sql="CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t VALUES (1)",
                unless="SELECT count(*) FROM t",
            ),
        )
        _survives(b"CREATE DATABASE", mariadb.port, lambda port: mysql.Database(url=through(port), name=name))
        _survives(b"CREATE TABLE users", mariadb.port, lambda port: _alembic(through(port), tmp_path))
    finally:
        mariadb.drop_database(name)


def test_gone_in_mid_apply_on_rabbitmq(vhost: Vhost, tmp_path: Path) -> None:
    server, name = vhost.server, vhost.name
    bindings: list[Any] = [{"exchange": "amq.topic", "queue": "q", "routing_key": "gone-key"}]
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps({"policies": [{"name": "p", "pattern": "^q", "definition": {"max-length": 1}}]}))

    def api(port: int) -> str:
        return vhost.management_url.replace(f":{server.management_port}", f":{port}")

    _survives(
        b"gone-key",
        server.port,
        lambda port: rabbitmq.Topology(
            url=vhost.url.replace(f":{server.port}/", f":{port}/"),
            queues=[{"name": "q"}],  # type: ignore[list-item]
            bindings=bindings,
        ),
    )
    _survives(
        b"POST /api/definitions",
        server.management_port,
        lambda port: rabbitmq.Topology(url=vhost.url, management_url=api(port), definitions=str(file)),
    )
    # RabbitMQ's API is a real one for this kind, too.
    _survives(
        b"PUT /api/queues",
        server.management_port,
        lambda port: http.Resource(url=f"{api(port)}/api/queues/{name}/gone", body={"durable": True}),
    )


def test_gone_in_mid_apply_on_s3(seaweedfs: SeaweedFS) -> None:
    name = f"gone-{uuid4().hex[:12]}"

    def make(port: int, **fields: Any) -> Step:
        login = {**seaweedfs.login(), "endpoint": f"http://127.0.0.1:{port}"}
        return s3.Bucket(bucket=name, **login, **fields)  # type: ignore[arg-type]

    _survives(f"PUT /{name} ".encode(), seaweedfs.port, make)
    _survives(f"PUT /{name}?tagging ".encode(), seaweedfs.port, lambda port: make(port, tags={"team": "games"}))


def _survives(marker: bytes, port: int, make: Callable[[int], Step]) -> None:
    with ExitStack() as stack:
        between = stack.enter_context(relay(port, marker, "cut"))
        driven = drive(make(between.port), timeout=60)
    assert between.failed.is_set(), f"{marker!r} never passed"
    assert (driven.outcome, driven.finished.attempts) == ("changed", 2), driven.finished
    assert driven.waited_for, driven.finished


# -- a full disk


def test_a_full_disk_on_sqlite_is_not_yet(tmp_path: Path) -> None:
    """As on the servers: `no disk` above."""
    url = f"sqlite:///{tmp_path}/full.db"
    fill = "PRAGMA max_page_count = 3; CREATE TABLE big (a); INSERT INTO big VALUES (zeroblob(1000000))"
    driven = drive(database.Sql(url=url, sql=fill, unless="SELECT count(*) FROM big"), timeout=1)
    assert driven.waited_for == ("sql, statement 3 (line 1): the disk is full",)
    assert driven.finished.attempts > 1
    assert drive(database.Tables(url=url, tables=["big"])).outcome == "failed", "it was rolled back"
