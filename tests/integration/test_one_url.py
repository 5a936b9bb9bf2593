"""One URL for every step of a plan, in the forms that stacks have, on real servers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from alembic_project import ASYNC_ENV, SYNC_ENV, AlembicProject
from inithold.steps.database import Ready, Sql, Tables
from inithold.testing import check, drive
from servers.mariadb import MariaDB
from servers.ports import closed_port
from servers.postgresql import PostgreSQL


def every_kind_takes(url: str, project: AlembicProject) -> None:
    project.tables("users")
    assert not check(Ready(url=url))
    migrated = drive(project.upgrade(url))
    assert migrated.outcome == "changed", migrated.finished
    assert not check(Tables(url=url, tables=["users"]))
    assert drive(Sql(url=url, sql="DELETE FROM users")).outcome == "changed"
    assert drive(project.upgrade(url)).outcome == "unchanged"


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("scheme", "query"),
    [
        ("postgis", ""),
        ("pgsql", "pool=5&encoding=unicode&prepared_statements=false"),
        ("postgresql", "schema=public&connection_limit=5&pool_timeout=10&sslaccept=strict"),
        ("postgres", "conn_max_age=600&conn_health_checks=true"),
        ("postgresql+asyncpg", "ssl=prefer&prepared_statement_cache_size=0&command_timeout=60"),
        ("postgresql+psycopg2", "sslmode=prefer&application_name=web"),
    ],
    ids=["geodjango", "rails", "prisma", "django", "asyncpg", "psycopg2"],
)
def test_postgresql(scheme: str, query: str, env: str, database: str, tmp_path: Path) -> None:
    url = database.replace("postgresql:", f"{scheme}:") + (f"?{query}" if query else "")
    every_kind_takes(url, AlembicProject(tmp_path, env))


def test_a_socket_and_several_hosts(database: str, tmp_path: Path, postgresql: PostgreSQL) -> None:
    login, name = database.partition("://")[2].partition("@")[0], database.rpartition("/")[2]
    socket = quote(str(postgresql.folder), safe="")
    every_kind_takes(
        f"postgresql://{login}@{socket}:{postgresql.port}/{name}", AlembicProject(tmp_path / "socket")
    )
    postgresql.execute("DROP TABLE users, alembic_version", name)
    with closed_port() as closed:
        hosts = f"127.0.0.1:{closed},127.0.0.1:{postgresql.port}"
        every_kind_takes(f"postgresql://{login}@{hosts}/{name}", AlembicProject(tmp_path / "hosts"))


@pytest.mark.parametrize(
    ("scheme", "query"),
    [
        ("mysql2", "pool=5&reconnect=true&encoding=utf8mb4"),
        ("trilogy", ""),
        ("mysql", "connection_limit=5&pool_timeout=10&sslaccept=accept_invalid_certs"),
        ("mysql+aiomysql", "charset=utf8mb4"),
        ("mariadb", "ssl_mode=DISABLED"),
    ],
    ids=["rails", "trilogy", "prisma", "aiomysql", "mariadb"],
)
def test_mysql(scheme: str, query: str, mysql_database: str, tmp_path: Path) -> None:
    url = mysql_database.replace("mysql:", f"{scheme}:") + (f"?{query}" if query else "")
    every_kind_takes(url, AlembicProject(tmp_path))


@pytest.mark.parametrize(
    "form", ["@{socket}/{name}", "@localhost/{name}?socket={socket}"], ids=["host", "parameter"]
)
def test_a_socket_of_mysql(form: str, mysql_database: str, mariadb: MariaDB, tmp_path: Path) -> None:
    login, name = mysql_database.partition("://")[2].partition("@")[0], mysql_database.rpartition("/")[2]
    socket = quote(str(mariadb.folder / "socket"), safe="")
    every_kind_takes(f"mysql2://{login}{form.format(socket=socket, name=name)}", AlembicProject(tmp_path))
