"""alembic.upgrade on what fails for good and what may heal."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alembic_project import (
    ASYNC_ENV,
    INI,
    SYNC_ENV,
    AlembicProject,
    failure,
    table,
    tables_in,
)
from golden import assert_golden
from inithold.errors import NotYet, Rejected
from inithold.testing import check, drive
from servers.mariadb import MariaDB
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from started import Started


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path)


# -- what fails


def test_a_database_ahead_of_the_files(project: AlembicProject, database: str) -> None:
    project.tables("users", "games")
    drive(project.upgrade(database))
    next(project.versions.glob("0002*")).unlink()
    assert_golden("alembic/unknown-revision", *failure(project.upgrade(database)))


def test_a_database_ahead_of_the_target(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    project.tables("users", "games")
    drive(project.upgrade(database))
    assert_golden("alembic/ahead-of-target", *failure(project.upgrade(database, target="0001")))
    assert "games" in tables_in(postgresql, database)


def test_a_failed_revision_is_named_and_leaves_nothing(
    project: AlembicProject, database: str, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    project.revision("0001", "add users", table("users"))
    project.revision(
        "0002",
        "add games",
        table("games"),
        "op.execute(sa.text('INSERT INTO users (id) VALUES (:one)').bindparams(one=4711))",
        "op.execute(sa.text('INSERT INTO users (id) VALUES (:one)').bindparams(one=4711))",
    )
    driven = drive(project.upgrade(database))
    varying = {str(tmp_path): "FOLDER"}
    assert_golden("alembic/failed-revision", driven.reason, driven.finished.hint, varying=varying)
    assert "4711" not in "".join(map(str, driven.events))  # what the parameters of the statement were
    assert tables_in(postgresql, database) == set()


@pytest.mark.parametrize("driver", ["+psycopg2", "+asyncpg"])
def test_a_failed_revision_reads_the_same_with_every_driver(driver: str, tmp_path: Path, database: str) -> None:
    project = AlembicProject(tmp_path, ASYNC_ENV if driver == "+asyncpg" else SYNC_ENV)
    project.revision("0001", "add users", table("users"), table("users"))
    message, _ = failure(project.upgrade(database.replace(":", f"{driver}:", 1)))
    assert message == (
        f"revision 0001 add users failed at {project.versions}/0001_add_users.py:12: "
        'relation "users" already exists'
    )


def test_a_failed_revision_without_transactional_ddl(
    tmp_path: Path, mysql_database: str, mariadb: MariaDB
) -> None:
    project = AlembicProject(tmp_path)
    project.revision("0001", "add users", table("users"), table("users"))
    assert_golden(
        "alembic/failed-revision-mysql",
        *failure(project.upgrade(mysql_database)),
        varying={str(tmp_path): "FOLDER"},
    )


def test_a_revision_may_fail_in_python(project: AlembicProject, database: str, tmp_path: Path) -> None:
    project.revision("0001", "add users", table("users"), 'raise ValueError("no owner is set")')
    assert_golden(
        "alembic/failed-in-python", *failure(project.upgrade(database)), varying={str(tmp_path): "FOLDER"}
    )


def test_what_a_revision_cannot_reach_elsewhere_is_its_failure(project: AlembicProject, database: str) -> None:
    with closed_port() as port:
        project.revision("0001", "call", "import socket", f"socket.create_connection(('127.0.0.1', {port}))")
        message, _ = failure(project.upgrade(database))
    assert "ConnectionRefusedError" in message


def test_a_commit_may_fail(project: AlembicProject, database: str) -> None:
    project.revision(
        "0001",
        "deferred",
        'op.execute("CREATE TABLE a (id int PRIMARY KEY)")',
        'op.execute("CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")',
        'op.execute("INSERT INTO b VALUES (12345)")',
    )
    message, _ = failure(project.upgrade(database))
    assert 'violates foreign key constraint "b_a_fkey"' in message
    assert "12345" not in message


# -- servers that are not up, and that say no


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["sync", "async"])
def test_refused_is_not_yet(env: str, tmp_path: Path) -> None:
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    with closed_port() as port, pytest.raises(NotYet) as seen:
        check(project.upgrade(f"postgresql://app@127.0.0.1:{port}/games"))
    assert seen.value.probe == ("127.0.0.1", port)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_refused_is_not_yet_for_an_env_py_with_a_url_of_its_own(
    driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = ASYNC_ENV if driver == "asyncpg" else SYNC_ENV
    with closed_port() as port:
        ini = INI.replace(
            "driver://user:pass@localhost/dbname", f"postgresql+{driver}://app@127.0.0.1:{port}/games"
        )
        project = AlembicProject(tmp_path, env, ini)
        project.tables("users")
        with pytest.raises(NotYet) as seen:
            check(project.upgrade())
        assert seen.value.probe == ("127.0.0.1", port)
        assert "refused" in seen.value.message


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
@pytest.mark.parametrize("own", [False, True], ids=["url", "own url"])
def test_wrong_password_and_unknown_database_are_final(
    driver: str, own: bool, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    env = ASYNC_ENV if driver == "asyncpg" else SYNC_ENV

    def rejected(url: str) -> str:
        folder = tmp_path / str(time.time_ns())
        ini = INI.replace("driver://user:pass@localhost/dbname", url.replace("%", "%%"))
        project = AlembicProject(folder, env, ini)
        project.tables("users")
        with pytest.raises(Rejected) as seen:
            check(project.upgrade(None if own else url))
        return seen.value.message

    scheme = f"postgresql+{driver}"
    assert "authentication failed" in rejected(postgresql.dsn(password="not-the-password", scheme=scheme))
    assert 'database "nowhere" does not exist' in rejected(postgresql.dsn("nowhere", scheme=scheme))


def test_wrong_password_mariadb(project: AlembicProject, mariadb: MariaDB) -> None:
    project.tables("users")
    with pytest.raises(Rejected, match="Access denied"):
        check(project.upgrade(mariadb.url(password="not-the-password")))
    with pytest.raises(Rejected, match="Unknown database 'nowhere'"):
        check(project.upgrade(mariadb.url("nowhere")))


def test_a_server_that_comes_up_late(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users")
    with PostgreSQL() as server:
        url = server.create_database()
        server.stop()
        run = Started(project.upgrade(url))
        run.waits_for("connection refused")
        server.start()
        assert run.end().outcome == "changed"


def test_too_many_connections_is_not_yet(tmp_path: Path) -> None:
    import psycopg

    project = AlembicProject(tmp_path)
    project.tables("users")
    with PostgreSQL(settings={"max_connections": "5", "superuser_reserved_connections": "0"}) as server:
        url = server.create_database()
        taken = [psycopg.connect(server.dsn()) for _ in range(5)]
        run = Started(project.upgrade(url))
        run.waits_for("too many clients")
        for connection in taken:
            connection.close()
        assert run.end().outcome == "changed"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_connection_lost_half_way_is_tried_again(
    driver: str, tmp_path: Path, database: str, postgresql: PostgreSQL
) -> None:
    project = AlembicProject(tmp_path, ASYNC_ENV if driver == "asyncpg" else SYNC_ENV)
    project.revision(
        "0001",
        "lose it once",
        table("users"),
        "import pathlib",
        "flag = pathlib.Path(__file__).parent / 'flag'",
        "if not flag.exists():",
        "    flag.touch()",
        "    op.execute('SELECT pg_terminate_backend(pg_backend_pid())')",
    )
    driven = drive(project.upgrade(database.replace(":", f"+{driver}:", 1)))
    assert driven.outcome == "changed", driven.finished
    assert driven.finished.attempts == 2
    assert "revision 0001 lose it once was not finished: " in driven.waited_for[0]


def test_a_lock_that_is_not_free_is_waited_for(project: AlembicProject, database: str) -> None:
    import psycopg

    project.revision("0001", "add users", table("users"))
    assert drive(project.upgrade(database)).outcome == "changed"
    project.revision(
        "0002", "alter users", "op.execute(\"SET LOCAL lock_timeout = '100ms'\")", 'op.execute("LOCK TABLE users")'
    )
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE users")
        run = Started(project.upgrade(database))
        run.waits_for("lock timeout")
        holder.rollback()
        assert run.end().outcome == "changed"
