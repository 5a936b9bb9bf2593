"""alembic.upgrade through the env.py files and drivers that applications have."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alembic_project import (
    ASYNC_ENV,
    INI,
    OWN_URL_ENV,
    SYNC_ENV,
    AlembicProject,
    failure,
    name_of,
    table,
    tables_in,
)
from golden import assert_golden
from inithold.steps.alembic import Upgrade
from inithold.testing import check, drive
from servers.mariadb import MariaDB
from servers.postgresql import PostgreSQL

ODD_PASSWORD = "p%40@s/:#? w%rd&+'\"é"
ASCII_PASSWORD = ODD_PASSWORD.replace("é", "e")  # PyMySQL encodes a password as Latin-1, the server hashes UTF-8
SYNC_DRIVERS = ["", "+psycopg", "+psycopg2"]
ASYNC_DRIVERS = ["", "+psycopg", "+asyncpg"]


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path)


@pytest.fixture
def asynchronous(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path, ASYNC_ENV)


# -- drivers and passwords


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_odd_password_sync(driver: str, project: AlembicProject, postgresql: PostgreSQL) -> None:
    _upgrade_with_odd_password(project, postgresql, driver)


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_odd_password_async(driver: str, asynchronous: AlembicProject, postgresql: PostgreSQL) -> None:
    _upgrade_with_odd_password(asynchronous, postgresql, driver)


def _upgrade_with_odd_password(project: AlembicProject, postgresql: PostgreSQL, driver: str) -> None:
    user = f"odd%user_{time.time_ns()}"
    postgresql.create_user(user, ODD_PASSWORD)
    owned = name_of(postgresql.create_database(owner=user))
    try:
        project.tables("users")
        url = postgresql.dsn(owned, user=user, password=ODD_PASSWORD, scheme=f"postgresql{driver}")
        driven = drive(project.upgrade(url))
        assert driven.outcome == "changed", driven.finished
        parts = Upgrade(
            config=str(project.ini),
            host="127.0.0.1",
            port=postgresql.port,
            user=user,
            password=ODD_PASSWORD,
            database=owned,
        )
        assert drive(parts).outcome == "unchanged"
    finally:
        postgresql.drop_database(owned)
        postgresql.execute(f'DROP ROLE "{user}"')


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["sync", "async"])
def test_mariadb(env: str, tmp_path: Path, mysql_database: str, mariadb: MariaDB) -> None:
    project = AlembicProject(tmp_path, env)
    project.tables("users", "games")
    user = f"odd_{time.time_ns()}"
    quoted = ASCII_PASSWORD.replace("'", "''")
    mariadb.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{quoted}'")
    mariadb.execute(f"GRANT ALL PRIVILEGES ON `{name_of(mysql_database)}`.* TO '{user}'@'%'")
    url = mariadb.url(name_of(mysql_database), user=user, password=ASCII_PASSWORD)
    driven = drive(project.upgrade(url))
    assert driven.outcome == "changed", driven.finished
    assert "Will assume non-transactional DDL." in driven.log
    assert drive(project.upgrade(url.replace("mysql:", "mariadb+pymysql:"))).outcome == "unchanged"


IMPORTS_ASYNCIO = f"import asyncio  # for what the models import\n{SYNC_ENV}"


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV, IMPORTS_ASYNCIO], ids=["sync", "async", "imports asyncio"])
def test_sqlite(env: str, tmp_path: Path) -> None:
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    file = tmp_path / "with % and space.db"
    step = project.upgrade(f"sqlite:///{file}")
    assert [str(change) for change in check(step)] == ["~ schema (empty) -> head (1 revision)"]
    assert not file.exists()  # a check makes nothing
    driven = drive(step)
    assert driven.outcome == "changed", driven.finished
    assert file.exists()
    assert drive(step).outcome == "unchanged"


def test_parameters_of_libpq_do_not_disturb_asyncpg(asynchronous: AlembicProject, database: str) -> None:
    asynchronous.tables("users")
    url = database.replace("postgresql:", "postgresql+asyncpg:")
    url += "?sslmode=prefer&application_name=init&connect_timeout=5"
    driven = drive(asynchronous.upgrade(url))
    assert driven.outcome == "changed", driven.finished


def test_the_drivers_of_an_ini_file_is_taken_where_it_fits(tmp_path: Path, database: str) -> None:
    env = SYNC_ENV.replace("with connectable", "print('driver', connectable.dialect.driver)\nwith connectable")
    ini = INI.replace("driver://user:pass@localhost/dbname", "postgresql+psycopg2://localhost/other")
    project = AlembicProject(tmp_path, env, ini)
    project.tables("users")
    assert "driver psycopg2" in drive(project.upgrade(database)).log
    project.revision("0002", "more")
    assert "driver psycopg" in drive(project.upgrade(database.replace(":", "+psycopg:", 1))).log


# -- env.py files


def test_pool_and_transaction_of_env_py_are_its_own(tmp_path: Path, database: str, postgresql: PostgreSQL) -> None:
    env = SYNC_ENV.replace(
        "configure(connection=connection)",
        'configure(connection=connection, transaction_per_migration=True, version_table="applied", '
        'version_table_schema="meta", include_schemas=True)',
    )
    project = AlembicProject(tmp_path, env)
    postgresql.execute("CREATE SCHEMA meta", name_of(database))
    project.revision("0001", "first", table("users"))
    project.revision("0002", "block", "with op.get_context().autocommit_block():", "    " + table("games"))
    project.revision("0003", "bad", table("seats"), 'op.execute("SELECT nothing FROM nowhere")')
    message, _ = failure(project.upgrade(database))
    assert message.startswith("revision 0003 bad failed")
    assert tables_in(postgresql, database) == {"applied", "users", "games"}
    assert postgresql.execute("SELECT version_num FROM meta.applied", name_of(database)) == [("0002",)]
    (change,) = check(project.upgrade(database))
    assert str(change) == "~ schema 0002 -> head (1 revision)"


def test_env_py_that_reads_a_variable_of_its_own(
    tmp_path: Path, database: str, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = AlembicProject(tmp_path, OWN_URL_ENV)
    project.tables("users")
    monkeypatch.setenv("TEST_OWN_URL", database.replace("postgresql:", "postgresql+psycopg2:"))
    assert drive(project.upgrade()).outcome == "changed"
    # The same database under another name of the host.
    assert drive(project.upgrade(database.replace("127.0.0.1", "localhost"))).outcome == "unchanged"


def test_env_py_that_goes_elsewhere_is_found_out(
    tmp_path: Path, database: str, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = AlembicProject(tmp_path, OWN_URL_ENV)
    project.tables("users")
    other = postgresql.create_database()
    monkeypatch.setenv("TEST_OWN_URL", other.replace("postgresql:", "postgresql+psycopg:"))
    varying = {name_of(database): "DATABASE", str(postgresql.port): "PORT", str(tmp_path): "FOLDER"}
    try:
        after_apply = failure(project.upgrade(database))
        assert_golden("alembic/url-not-used", *after_apply, varying=varying)
        assert tables_in(postgresql, database) == set()
        # Known before anything is applied, where the two are not at the same revision.
        project.revision("0002", "add games", table("games"))
        assert "does not use the url it is given" in failure(project.upgrade(database))[0]
        assert "games" not in tables_in(postgresql, other)
    finally:
        postgresql.drop_database(name_of(other))


def test_env_py_that_asks_for_the_event_loop(tmp_path: Path, database: str) -> None:
    env = ASYNC_ENV.replace(
        "asyncio.run(run_async_migrations())",
        "asyncio.get_event_loop().run_until_complete(run_async_migrations())",
    )
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    driven = drive(project.upgrade(database))
    assert driven.outcome == "changed", driven.finished


def test_two_projects_may_have_packages_of_the_same_name(tmp_path: Path) -> None:
    env = f"from samename import models\nfrom samename_module import WHERE\n{SYNC_ENV}"
    env += "print('of', models.NAME, WHERE)\n"
    steps = []
    for name in ("one", "two"):
        project = AlembicProject(tmp_path / name, env)
        project.tables("users")
        (project.folder / "samename").mkdir()
        (project.folder / "samename" / "models.py").write_text(f"NAME = {name!r}\nprint('imported', NAME)\n")
        (project.folder / "samename_module.py").write_text(f"WHERE = {name!r}\n")
        steps.append(project.upgrade(f"sqlite:///{project.folder}/games.db"))
    for name, step in zip(("one", "two"), steps, strict=True):
        log = drive(step).log
        assert f"of {name} {name}" in log
        assert log.count(f"imported {name}") == 1  # not for each look


def test_multidb_template(tmp_path: Path, postgresql: PostgreSQL) -> None:
    env = """
from alembic import context
from sqlalchemy import create_engine, pool

for name in ("first", "second"):
    section = context.config.get_section(name)
    with create_engine(section["sqlalchemy.url"], poolclass=pool.NullPool).begin() as connection:
        context.configure(connection=connection, upgrade_token=f"{name}_upgrades")
        context.run_migrations(engine_name=name)
"""
    first, second = postgresql.create_database(), postgresql.create_database()
    sections = "".join(
        f"\n[{name}]\nsqlalchemy.url = {url.replace(':', '+psycopg:', 1).replace('%', '%%')}\n"
        for name, url in (("first", first), ("second", second))
    )
    project = AlembicProject(tmp_path, env, INI + sections)
    file = project.revision("0001", "both", 'op.execute(f"CREATE TABLE {engine_name}_t ()")')
    file.write_text(file.read_text().replace("def upgrade():", "def upgrade(engine_name):"))
    try:
        driven = drive(project.upgrade())
        assert driven.changes == (
            f"~ schema of {name_of(first)} (empty) -> head (1 revision)",
            f"~ schema of {name_of(second)} (empty) -> head (1 revision)",
        )
        assert tables_in(postgresql, second) == {"alembic_version", "second_t"}
        assert drive(project.upgrade()).outcome == "unchanged"
    finally:
        postgresql.drop_database(name_of(first))
        postgresql.drop_database(name_of(second))


def test_arguments_of_env_py_and_section(tmp_path: Path, database: str) -> None:
    env = (
        SYNC_ENV
        + "\nprint(context.get_x_argument(as_dictionary=True), config.cmd_opts.x, config.config_ini_section)"
    )
    project = AlembicProject(tmp_path, env, INI.replace("[alembic]", "[games]"))
    project.tables("users")
    driven = drive(project.upgrade(database, name="games", x=("tenant=a",)))
    assert "{'tenant': 'a'} ['tenant=a'] games" in driven.log, driven.finished
