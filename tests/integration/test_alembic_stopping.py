"""alembic.upgrade is stopped, runs out of time, and takes turns."""

from __future__ import annotations

import signal
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alembic_project import (
    ASYNC_ENV,
    INI,
    SYNC_ENV,
    AlembicProject,
    name_of,
    table,
    tables_in,
)
from inithold.testing import drive
from promptness import PROMPTLY
from servers.inithold import Inithold
from servers.mariadb import MariaDB
from servers.postgresql import PostgreSQL
from started import Started


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "psycopg async", "asyncpg"])
def test_stopping_ends_the_statement_on_the_server(
    driver: str, tmp_path: Path, database: str, postgresql: PostgreSQL
) -> None:
    name, _, asynchronous = driver.partition(" ")
    project = AlembicProject(tmp_path, ASYNC_ENV if asynchronous or name == "asyncpg" else SYNC_ENV)
    project.revision("0001", "slow", table("users"), 'op.execute("SELECT pg_sleep(60)")', table("never"))
    active = (
        f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(database)}' AND query LIKE '%pg_sleep(60)%'"
    )
    run = Started(project.upgrade(database.replace(":", f"+{name}:", 1)))
    run.until_true(lambda: postgresql.execute(f"{active} AND state = 'active' AND wait_event = 'PgSleep'"))
    assert run.stop() < 3.0
    assert run.result is not None
    (step,) = run.result.steps
    assert (step.outcome, step.reason) == ("cancelled", "SIGTERM")
    assert not run.result.stuck
    assert not postgresql.execute(f"{active} AND state = 'active'")
    assert tables_in(postgresql, database) == set()
    assert drive(project.upgrade(database, target="0001"), timeout=1.0).outcome == "failed"


# As MySQL Connector/Python, which has another name for it.
WITHOUT_THREAD_ID = f"import pymysql\ndel pymysql.connections.Connection.thread_id\n{SYNC_ENV}"


@pytest.mark.parametrize(
    "env", [SYNC_ENV, ASYNC_ENV, WITHOUT_THREAD_ID], ids=["pymysql", "aiomysql", "without thread_id"]
)
def test_stopping_ends_the_statement_on_mariadb(
    env: str, tmp_path: Path, mysql_database: str, mariadb: MariaDB
) -> None:
    project = AlembicProject(tmp_path, env)
    project.revision("0001", "slow", table("users"), 'op.execute("SELECT SLEEP(60)")', table("never"))
    sleeping = f"SELECT 1 FROM information_schema.processlist WHERE db = '{name_of(mysql_database)}'"
    sleeping += " AND info LIKE 'SELECT SLEEP(60)%'"
    run = Started(project.upgrade(mysql_database))
    run.until_true(lambda: mariadb.execute(sleeping))
    assert run.stop() < 3.0
    assert run.result is not None
    assert run.result.steps[0].outcome == "cancelled"
    assert not mariadb.execute(sleeping)
    tables = mariadb.execute("SHOW TABLES", name_of(mysql_database))
    assert ("never",) not in tables


@pytest.mark.parametrize("driver", ["pymysql", "aiomysql"])
def test_stopping_ends_the_statement_of_an_engine_whose_url_does_not_say_all(
    driver: str, tmp_path: Path, mysql_database: str, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the password, a certificate or a token is given to the driver alone."""
    of_url, name = urlsplit(mysql_database), "database" if driver == "pymysql" else "db"
    monkeypatch.setenv("TEST_PASSWORD", of_url.password or "")
    env = SYNC_ENV if driver == "pymysql" else ASYNC_ENV
    arguments = f"password=os.environ['TEST_PASSWORD'], {name}='{name_of(mysql_database)}'"
    env = f"import os\n{env.replace('poolclass=', f'connect_args=dict({arguments}), poolclass=')}"
    bare = f"mysql+{driver}://{of_url.username}@{of_url.hostname}:{of_url.port}"
    project = AlembicProject(tmp_path, env, INI.replace("driver://user:pass@localhost/dbname", bare))
    project.revision("0001", "slow", 'op.execute("SELECT SLEEP(60)")')
    sleeping = f"SELECT 1 FROM information_schema.processlist WHERE db = '{name_of(mysql_database)}'"
    sleeping += " AND info LIKE 'SELECT SLEEP(60)%'"
    run = Started(project.upgrade())
    run.until_true(lambda: mariadb.execute(sleeping))
    assert run.stop() < 3.0
    assert run.result is not None
    assert run.result.steps[0].outcome == "cancelled"
    assert not mariadb.execute(sleeping)


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["pysqlite", "aiosqlite"])
def test_stopping_ends_the_statement_of_sqlite(env: str, tmp_path: Path) -> None:
    project = AlembicProject(tmp_path, env)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    project.revision("0001", "slow", f'op.execute("{endless}")', table("never"))
    run = Started(project.upgrade(f"sqlite:///{tmp_path}/games.db"))
    run.until("Running upgrade  -> 0001")
    time.sleep(0.2)
    assert run.stop() < 3.0
    assert run.result is not None
    assert run.result.steps[0].outcome == "cancelled"
    with sqlite3.connect(tmp_path / "games.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'never'").fetchall() == []


def test_stopping_between_statements(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    loop = "for number in range(100_000):"
    project.revision("0001", "many", table("users"), loop, '    op.execute("SELECT 1")')
    run = Started(project.upgrade(database))
    run.until("Running upgrade  -> 0001")
    time.sleep(0.1)
    assert run.stop() < 3.0
    assert run.result is not None
    assert run.result.steps[0].outcome == "cancelled"
    assert tables_in(postgresql, database) == set()


def test_the_time_of_a_step_ends_its_statement(
    project: AlembicProject, database: str, postgresql: PostgreSQL
) -> None:
    project.revision("0001", "slow", 'op.execute("SELECT pg_sleep(60)")')
    drive(project.upgrade(database, target="0001"), timeout=0.01)  # imports are not what is measured
    driven = drive(project.upgrade(database), timeout=2.0)
    assert driven.outcome == "failed"
    assert driven.reason.startswith("its time (2s) is up")
    assert "did not stop" not in driven.reason


@pytest.mark.parametrize("kind", [PostgreSQL, MariaDB])
def test_a_server_that_accepts_and_never_answers_is_not_waited_for_without_end(
    kind: type[PostgreSQL] | type[MariaDB], tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users")
    with kind() as server:
        url = server.create_database()
        drive(project.upgrade(url))
        server.freeze()
        try:
            began = time.monotonic()
            driven = drive(project.upgrade(url), timeout=1.0)
            assert driven.outcome == "failed"
            assert "its time (1s) is up" in driven.reason
            assert "did not stop" not in driven.reason
            assert time.monotonic() - began < 6.0
        finally:
            server.thaw()


def test_two_steps_are_stopped_together(tmp_path: Path, postgresql: PostgreSQL) -> None:
    urls = [postgresql.create_database() for _ in range(2)]
    projects = [AlembicProject(tmp_path / str(number)) for number in range(2)]
    for project in projects:
        project.revision("0001", "slow", 'op.execute("SELECT pg_sleep(60)")')
    run = Started(*(project.upgrade(url) for project, url in zip(projects, urls, strict=True)))
    run.until_true(lambda: sum("Running upgrade" in getattr(e, "text", "") for e in run.collected.events) == 2)
    assert run.stop() < 3.0
    assert run.result is not None
    assert [step.outcome for step in run.result.steps] == ["cancelled", "cancelled"]
    for url in urls:
        postgresql.drop_database(name_of(url))


def test_sigterm_to_the_process(
    project: AlembicProject, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    project.revision("0001", "slow", table("users"), 'op.execute("SELECT pg_sleep(60)")')
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nname: test\nsteps:\n"
        f"  - {{id: migrate, uses: alembic.upgrade, with: {{config: {project.ini}, url: '${{DATABASE_URL}}'}}}}\n"
    )
    running = run_inithold.start("run", env={"DATABASE_URL": database})
    active = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(database)}' AND wait_event = 'PgSleep'"
    running.wait_until(lambda: bool(postgresql.execute(active)), "the migration")
    began = time.monotonic()
    running.signal(signal.SIGTERM)
    assert running.wait(20) == 128 + signal.SIGTERM
    assert time.monotonic() - began < PROMPTLY
    assert not postgresql.execute(active)
    assert tables_in(postgresql, database) == set()
