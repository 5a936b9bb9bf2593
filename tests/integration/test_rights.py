"""Each kind's check and apply by a user who has the rights that the kind names, and no others; and without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from alembic_project import AlembicProject, name_of
from conftest import Vhost
from inithold.errors import Rejected, StepError
from inithold.steps import registry
from inithold.steps.database import Ready, Sql, Tables
from inithold.steps.file import Ready as File
from inithold.steps.mysql import Database as Mysql
from inithold.steps.postgres import Database as Postgres
from inithold.steps.postgres import Roles
from inithold.steps.rabbitmq import Ready as Broker
from inithold.steps.rabbitmq import Topology
from inithold.steps.redis import Ready as Cache
from inithold.steps.s3 import Bucket
from inithold.testing import check, drive
from servers.mariadb import MariaDB
from servers.postgresql import PostgreSQL
from servers.redis import Redis
from servers.seaweedfs import SeaweedFS
from somebody import as_nobody

pytestmark = pytest.mark.usefixtures("no_authorities")

PASSWORD = "pw-of-a-user-with-few-rights"
USERS_OWN = {"command.run", "python.call", "http.ready", "http.resource"}
"""Ask what the user wrote, or a service of the user's."""
THEIR_OWN_TESTS = {"mysql.database", "postgres.database", "postgres.roles", "s3.bucket"}
"""Have a test of the rights of their check beside the others: in tests/integration/test_mysql_*.py,
test_postgres_*.py and test_s3_*.py."""
PROVEN: set[str] = set()
APPLIED: set[str] = set()
Test = TypeVar("Test", bound=Callable[..., object])


def proves(*kinds: str) -> Callable[[Test], Test]:
    """Marks a test as the one of these kinds' rights."""
    PROVEN.update(kinds)
    return lambda test: test


def proves_apply(*kinds: str) -> Callable[[Test], Test]:
    """Marks a test as the one of the rights that applying needs."""
    APPLIED.update(kinds)
    return lambda test: test


def test_every_kind_names_rights_that_are_proven() -> None:
    unnamed = [name for name in registry.KINDS if not registry.load(name).rights]
    assert unnamed == [], "give the class a `rights`"
    assert set(registry.KINDS) - PROVEN - USERS_OWN - THEIR_OWN_TESTS == set(), "add a test here"


def test_every_kind_names_rights_to_apply_that_are_proven() -> None:
    applying = {name for name in registry.KINDS if not registry.load(name).looks_only}
    named = {name for name in registry.KINDS if registry.load(name).apply_rights}
    assert named == applying, "give the class `apply_rights`, unless it only looks"
    assert applying - APPLIED - USERS_OWN == set(), "add a test here"


# -- PostgreSQL


@pytest.fixture
def reader(postgresql: PostgreSQL, database: str) -> str:
    """The URL of a role that may connect and do nothing else; what it runs is read-only."""
    role, name = f"reader_{uuid4().hex[:8]}", name_of(database)
    postgresql.create_user(role, PASSWORD)
    postgresql.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    postgresql.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    postgresql.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC", name)
    postgresql.execute("CREATE TABLE players (name text)", name)
    postgresql.execute(f"GRANT CONNECT ON DATABASE {name} TO {role}")
    return postgresql.dsn(name, user=role, password=PASSWORD)


def grant(postgresql: PostgreSQL, reader: str, what: str) -> None:
    postgresql.execute(f"GRANT {what} TO {role_of(reader)}", name_of(reader))


def role_of(url: str) -> str:
    return url.partition("//")[2].partition(":")[0]


@proves("database.ready")
def test_ready_needs_to_connect(postgresql: PostgreSQL, reader: str) -> None:
    assert not check(Ready(url=reader))
    postgresql.execute(f"REVOKE CONNECT ON DATABASE {name_of(reader)} FROM {role_of(reader)}")
    with pytest.raises(Rejected, match="permission denied for database"):
        check(Ready(url=reader))


@proves("database.tables")
def test_tables_needs_to_connect_and_usage_for_names_without_a_schema(postgresql: PostgreSQL, reader: str) -> None:
    assert not check(Tables(url=reader, tables=[{"public.players": ["name"]}]))
    unnamed = Tables(url=reader, tables=["players"])
    assert [str(change) for change in check(unnamed)] == ["! table players is missing"]
    grant(postgresql, reader, "USAGE ON SCHEMA public")
    assert not check(unnamed)


@proves("database.sql")
def test_sql_needs_to_read_what_unless_asks_for(postgresql: PostgreSQL, reader: str) -> None:
    postgresql.execute("INSERT INTO players VALUES ('Ada')", name_of(reader))
    step = Sql(url=reader, sql="INSERT INTO players VALUES ('Bob')", unless="SELECT 1 FROM players")
    grant(postgresql, reader, "USAGE ON SCHEMA public")
    with pytest.raises(StepError, match="permission denied for table players"):
        check(step)
    grant(postgresql, reader, "SELECT ON players")
    assert not check(step)


@proves("alembic.upgrade")
def test_alembic_needs_to_read_the_version_table(
    postgresql: PostgreSQL, database: str, reader: str, tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users", "games")
    assert drive(project.upgrade(database, target="0001")).outcome == "changed"
    grant(postgresql, reader, "USAGE ON SCHEMA public")
    with pytest.raises(StepError, match="permission denied for table alembic_version"):
        check(project.upgrade(reader))
    grant(postgresql, reader, "SELECT ON alembic_version")
    assert [change.op for change in check(project.upgrade(reader))] == ["~"]
    assert drive(project.upgrade(database)).outcome == "changed"
    assert not check(project.upgrade(reader))


@pytest.fixture
def writer(postgresql: PostgreSQL, reader: str) -> str:
    """The same role, which may write where it is let."""
    postgresql.execute(f"ALTER ROLE {role_of(reader)} RESET default_transaction_read_only")
    return reader


@proves_apply("database.sql")
def test_sql_needs_what_its_statements_need(postgresql: PostgreSQL, writer: str) -> None:
    step = Sql(url=writer, sql="INSERT INTO players VALUES ('Bob')", unless="SELECT 1 FROM players")
    grant(postgresql, writer, "USAGE ON SCHEMA public")
    grant(postgresql, writer, "SELECT ON players")
    assert "permission denied for table players" in drive(step).reason
    grant(postgresql, writer, "INSERT ON players")
    assert drive(step).outcome == "changed"


@proves_apply("alembic.upgrade")
def test_alembic_needs_to_write_the_version_table(
    postgresql: PostgreSQL, database: str, writer: str, tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users", "games")
    assert drive(project.upgrade(database, target="0001")).outcome == "changed"
    grant(postgresql, writer, "USAGE, CREATE ON SCHEMA public")
    grant(postgresql, writer, "SELECT ON alembic_version")
    assert "permission denied for table alembic_version" in drive(project.upgrade(writer)).reason
    grant(postgresql, writer, "INSERT, UPDATE, DELETE ON alembic_version")
    assert drive(project.upgrade(writer)).outcome == "changed"


def test_alembic_needs_create_to_make_the_version_table(
    postgresql: PostgreSQL, writer: str, tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users")
    grant(postgresql, writer, "USAGE ON SCHEMA public")
    assert "permission denied for schema public" in drive(project.upgrade(writer)).reason
    grant(postgresql, writer, "CREATE ON SCHEMA public")
    assert drive(project.upgrade(writer)).outcome == "changed"


@proves_apply("postgres.database")
def test_a_database_needs_createdb_and_membership_in_its_owner(postgresql: PostgreSQL, writer: str) -> None:
    maker, owner, name = role_of(writer), f"owner_{uuid4().hex[:8]}", f"made_{uuid4().hex[:8]}"
    postgresql.execute(f"CREATE ROLE {owner}")
    postgresql.execute(f"ALTER ROLE {maker} CREATEDB")
    url = postgresql.dsn(name, user=maker, password=PASSWORD)
    own = Postgres(url=url, extensions=["citext"])
    given = Postgres(url=url, owner=owner, extensions=["citext", "pgcrypto"])
    try:
        assert drive(own).outcome == "changed"
        assert drive(given).outcome == "failed"
        postgresql.execute(f"GRANT {owner} TO {maker}")
        assert drive(given).outcome == "changed"
        untrusted = Postgres(url=url, extensions=["file_fdw"])
        assert "permission denied" in drive(untrusted).reason
    finally:
        postgresql.execute(f"DROP DATABASE IF EXISTS {name}")


@proves_apply("postgres.roles")
def test_roles_need_createrole_and_grants_the_objects(postgresql: PostgreSQL, database: str, writer: str) -> None:
    maker, app, group = role_of(writer), f"app_{uuid4().hex[:8]}", f"group_{uuid4().hex[:8]}"
    name = name_of(database)
    postgresql.execute(f"CREATE SCHEMA own AUTHORIZATION {maker} CREATE TABLE scores (id int)", name)
    everything: dict[str, Any] = {
        "roles": [{"name": group}, {"name": app, "password": PASSWORD, "connection_limit": 5, "member_of": group}],
        "grants": [
            {"to": app, "schema": "own", "privileges": "USAGE"},
            {"to": app, "schema": "own", "tables": "all", "privileges": ["SELECT", "INSERT"]},
        ],
        "default_privileges": [{"schema": "own", "on": "tables", "to": app, "privileges": "SELECT"}],
    }
    assert "permission denied" in drive(Roles(url=writer, **everything)).reason
    postgresql.execute(f"ALTER ROLE {maker} CREATEROLE")
    assert drive(Roles(url=writer, **everything)).outcome == "changed"
    others = Roles(url=writer, grants=[{"to": app, "schema": "public", "tables": "all", "privileges": "SELECT"}])  # type: ignore[list-item]
    assert drive(others).outcome == "failed"
    grant(postgresql, writer, "USAGE ON SCHEMA public")
    postgresql.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {maker} WITH GRANT OPTION", name)
    assert drive(others).outcome == "changed"


# -- MySQL


@pytest.fixture
def mysql_reader(mariadb: MariaDB, mysql_database: str) -> Iterator[Callable[[str], str]]:
    """Makes the URL of a user that has one privilege, such as `INSERT ON players`, and no others."""
    user, name = f"reader_{uuid4().hex[:8]}", name_of(mysql_database)
    mariadb.execute("CREATE TABLE players (name text)", name)
    mariadb.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{PASSWORD}'")

    def with_privilege(privilege: str) -> str:
        what, _, table = privilege.partition(" ON ")
        if what:
            mariadb.execute(f"GRANT {what} ON `{name}`.{table} TO '{user}'@'%'")
        return mariadb.url(name, user=user, password=PASSWORD)

    yield with_privilege
    mariadb.execute(f"DROP USER '{user}'@'%'")


def test_on_mysql_ready_and_tables_need_any_privilege(mysql_reader: Callable[[str], str]) -> None:
    with pytest.raises(Rejected, match="Access denied"):
        check(Ready(url=mysql_reader("")))
    url = mysql_reader("INSERT ON players")
    assert not check(Ready(url=url))
    assert not check(Tables(url=url, tables=[{"players": ["name"]}]))


def test_on_mysql_sql_needs_to_read_what_unless_asks_for(
    mysql_reader: Callable[[str], str], mariadb: MariaDB
) -> None:
    url = mysql_reader("INSERT ON players")
    mariadb.execute("INSERT INTO players VALUES ('Ada')", name_of(url))
    step = Sql(url=url, sql="INSERT INTO players VALUES ('Bob')", unless="SELECT 1 FROM players")
    with pytest.raises(StepError, match="denied"):
        check(step)
    mysql_reader("SELECT ON players")
    assert not check(step)


def test_on_mysql_alembic_needs_to_read_the_version_table(
    mysql_reader: Callable[[str], str], mysql_database: str, tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users")
    assert drive(project.upgrade(mysql_database)).outcome == "changed"
    assert not check(project.upgrade(mysql_reader("SELECT ON alembic_version")))


def test_on_mysql_sql_needs_what_its_statements_need(mysql_reader: Callable[[str], str]) -> None:
    url = mysql_reader("SELECT ON players")
    step = Sql(url=url, sql="INSERT INTO players VALUES ('Bob')", unless="SELECT 1 FROM players")
    assert "denied" in drive(step).reason
    mysql_reader("INSERT ON players")
    assert drive(step).outcome == "changed"


def test_on_mysql_alembic_needs_to_write_the_version_table(
    mysql_reader: Callable[[str], str], tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users")
    url = mysql_reader("SELECT, INSERT, UPDATE, DELETE ON *")
    assert "denied" in drive(project.upgrade(url)).reason
    mysql_reader("CREATE ON *")
    assert drive(project.upgrade(url)).outcome == "changed"


@proves_apply("mysql.database")
def test_a_database_of_mysql_needs_create_and_alter(mariadb: MariaDB, mysql_reader: Callable[[str], str]) -> None:
    user = mysql_reader("INSERT ON players").partition("//")[2].partition(":")[0]
    name = f"made_{uuid4().hex[:8]}"
    step = Mysql(url=mariadb.url(name, user=user, password=PASSWORD), character_set="utf8mb4")
    other = Mysql(url=step.url, character_set="latin1")
    try:
        assert "denied" in drive(step).reason
        mariadb.execute(f"GRANT CREATE ON `{name}`.* TO '{user}'@'%'")
        assert drive(step).outcome == "changed"
        assert "denied" in drive(other).reason
        mariadb.execute(f"GRANT ALTER ON `{name}`.* TO '{user}'@'%'")
        assert drive(other).outcome == "changed"
    finally:
        mariadb.drop_database(name)


# -- RabbitMQ


def user_of(vhost: Vhost, *, tags: str = "", allowed: bool = True) -> str:
    """A user that may open the virtual host, and nothing in it."""
    name = f"user-{uuid4().hex[:8]}"
    vhost.server.create_user(name, PASSWORD, tags=tags)
    if allowed:
        vhost.server.allow(name, vhost.name, configure="^$", write="^$", read="^$")
    return name


@proves("rabbitmq.ready")
def test_broker_ready_needs_empty_permissions(vhost: Vhost) -> None:
    url = vhost.server.url(vhost.name, user=user_of(vhost), password=PASSWORD)
    assert not check(Broker(url=url))
    stranger = vhost.server.url(vhost.name, user=user_of(vhost, allowed=False), password=PASSWORD)
    with pytest.raises(Rejected):
        check(Broker(url=stranger))


LISTS: dict[str, Any] = {
    "exchanges": [{"name": "events", "type": "topic"}],
    "queues": [{"name": "bot"}],
    "bindings": [{"exchange": "events", "queue": "bot", "routing_key": "#"}],
}
POLICY = {"name": "p", "pattern": "^b", "apply-to": "queues", "definition": {"max-length": 10}, "priority": 1}


def topology_by(vhost: Vhost, tags: str, **fields: Any) -> Topology:
    """The step of a user with these tags and empty permissions."""
    user = user_of(vhost, tags=tags)
    return Topology(
        url=vhost.server.url(vhost.name, user=user, password=PASSWORD),
        management_url=vhost.server.management_url(user=user, password=PASSWORD),
        **fields,
    )


@proves("rabbitmq.topology")
def test_topology_needs_a_tag_for_what_it_looks_at(vhost: Vhost, tmp_path: Path) -> None:
    definitions = tmp_path / "definitions.json"

    def made(**document: Any) -> dict[str, str]:
        definitions.write_text(json.dumps(document))
        fields = {"definitions": str(definitions)}
        assert drive(Topology(url=vhost.url, management_url=vhost.management_url, **fields)).outcome == "changed"
        return fields

    over_amqp = vhost.server.url(vhost.name, user=user_of(vhost), password=PASSWORD)
    assert {change.op for change in check(Topology(url=over_amqp, **LISTS))} == {"+"}
    drive(Topology(url=vhost.url, **LISTS))
    assert {change.op for change in check(Topology(url=over_amqp, **LISTS))} == {"?"}

    with pytest.raises(Rejected):
        check(topology_by(vhost, "", **LISTS))
    assert not check(topology_by(vhost, "management", **LISTS))

    for document in (
        {"policies": [{**POLICY, "vhost": vhost.name}]},
        {"users": [{"name": f"{vhost.name}-user", "password": PASSWORD, "tags": "monitoring"}]},
    ):
        fields = made(**document)
        with pytest.raises(Rejected):
            check(topology_by(vhost, "policymaker", **fields))
        assert not check(topology_by(vhost, "administrator", **fields))


@proves_apply("rabbitmq.topology")
def test_topology_needs_permissions_on_what_it_makes(vhost: Vhost) -> None:
    user = user_of(vhost)
    lists: dict[str, Any] = {
        "exchanges": [{"name": "events", "type": "topic"}, {"name": "dead", "type": "fanout"}],
        "queues": [{"name": "bot", "arguments": {"x-dead-letter-exchange": "dead"}}],
        "bindings": [{"exchange": "events", "queue": "bot", "routing_key": "#"}],
    }
    step = Topology(url=vhost.server.url(vhost.name, user=user, password=PASSWORD), **lists)
    assert drive(step).outcome == "failed"
    needed = {"configure": "^(events|dead|bot)$", "write": "^(bot|dead)$", "read": "^(events|bot)$"}
    for missing in needed:
        vhost.server.allow(user, vhost.name, **{**needed, missing: "^$"})
        assert drive(step).outcome == "failed", missing
    vhost.server.allow(user, vhost.name, **needed)
    assert drive(step).outcome == "changed"


# -- S3


@proves_apply("s3.bucket")
def test_a_bucket_needs_rights_on_itself_alone(seaweedfs: SeaweedFS) -> None:
    login = seaweedfs.login("maker")
    mine = f"made-{uuid4().hex[:8]}"
    assert drive(Bucket(bucket=f"other-{uuid4().hex[:8]}", **login)).outcome == "failed"
    assert drive(Bucket(bucket=mine, versioning=True, tags={"team": "games"}, **login)).outcome == "changed"


# -- Redis


@proves("redis.ready")
def test_cache_ready_needs_ping_and_select_for_another_database(redis_server: Redis) -> None:
    import redis

    user = f"user-{uuid4().hex[:8]}"
    with redis.Redis.from_url(redis_server.url()) as client:

        def allow(command: str) -> None:
            client.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", command)

        try:
            allow("+ping")
            assert not check(Cache(url=redis_server.url(user=user, password=PASSWORD)))
            step = Cache(url=redis_server.url(3, user=user, password=PASSWORD))
            with pytest.raises(Rejected, match="'select'") as refused:
                check(step)
            assert refused.value.hint == "grant it: ACL SETUSER name +select"
            allow("+select")
            assert not check(step)
        finally:
            client.execute_command("ACL", "DELUSER", user)


# -- what has no login


@proves("tcp.ready")
def test_a_port_needs_none() -> None:
    assert registry.load("tcp.ready").rights == "none: nothing is sent"


@proves("file.ready")
def test_a_file_needs_its_folders_to_be_searched() -> None:
    with TemporaryDirectory() as above:
        folder = Path(above) / "folder"
        folder.mkdir()
        (folder / "file").touch(mode=0)
        Path(above).chmod(0o755)
        folder.chmod(0o111)
        step = File(path=str(folder / "file"))
        with as_nobody():
            assert not check(step)
        folder.chmod(0o444)
        with as_nobody(), pytest.raises(StepError, match="permission denied"):
            check(step)
        folder.chmod(0o755)


def test_sqlite_needs_to_read_the_file() -> None:
    import sqlite3

    with TemporaryDirectory() as folder:
        file = Path(folder) / "app.db"
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE players (name)")
        connection.close()
        Path(folder).chmod(0o555)
        file.chmod(0o444)
        url = f"sqlite:///{file}"
        assert not check(Tables(url=url, tables=["players"]))
        with as_nobody():
            assert not check(Ready(url=url))
            assert not check(Tables(url=url, tables=["players"]))
        file.chmod(0)
        with as_nobody(), pytest.raises(StepError):
            check(Ready(url=url))
        Path(folder).chmod(0o755)
