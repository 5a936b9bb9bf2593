"""alembic.upgrade chooses a driver that is installed and fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alembic_project import ASYNC_ENV, AlembicProject
from golden import assert_golden
from inithold.errors import StepFailed
from inithold.steps.address import Address, parse
from inithold.steps.alembic import Upgrade, driver
from inithold.steps.alembic.driver import choose, sqlalchemy_url
from inithold.steps.alembic.project import read


@pytest.fixture
def having(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def have(*modules: str) -> None:
        monkeypatch.setattr(driver, "installed", lambda module: module in modules)

    return have


EVERY = ("psycopg", "psycopg2", "asyncpg", "pymysql", "MySQLdb", "aiomysql", "sqlite3", "aiosqlite")


@pytest.mark.parametrize(
    ("url", "asynchronous", "modules", "expected"),
    [
        ("postgresql://db/x", False, EVERY, "psycopg"),
        ("postgres://db/x", True, EVERY, "psycopg"),
        ("postgresql://db/x", False, ("psycopg2", "asyncpg"), "psycopg2"),
        ("postgresql://db/x", True, ("psycopg2", "asyncpg"), "asyncpg"),
        ("postgresql+psycopg2://db/x", False, EVERY, "psycopg2"),
        ("postgresql+asyncpg://db/x", True, EVERY, "asyncpg"),
        ("postgresql+asyncpg://db/x", False, EVERY, "psycopg"),  # it would not work with a plain engine
        ("postgresql+psycopg2://db/x", True, EVERY, "psycopg"),
        ("postgresql+psycopg2://db/x", False, ("psycopg",), "psycopg"),
        ("postgresql+psycopg_async://db/x", True, EVERY, "psycopg_async"),
        ("postgresql+psycopg_async://db/x", False, EVERY, "psycopg"),
        ("postgresql+pygresql://db/x", False, EVERY, "pygresql"),  # unknown here, perhaps not to SQLAlchemy
        ("postgresql://db/x?sslmode=require", True, ("asyncpg",), "asyncpg"),
        ("postgresql+asyncpg://db/x?sslrootcert=/ca.pem", True, EVERY, "psycopg"),
        ("mysql://db/x", False, EVERY, "pymysql"),
        ("mariadb://db/x", False, ("MySQLdb",), "mysqldb"),
        ("mysql+aiomysql://db/x", False, EVERY, "pymysql"),
        ("mysql://db/x", True, EVERY, "aiomysql"),
        ("sqlite:///x", False, EVERY, "pysqlite"),
        ("sqlite:///x", True, EVERY, "aiosqlite"),
    ],
)
def test_choice_of_driver(
    url: str, asynchronous: bool, modules: tuple[str, ...], expected: str, having: Callable[..., None]
) -> None:
    having(*modules)
    assert choose(parse(url), asynchronous=asynchronous) == expected


@pytest.mark.parametrize(
    ("case", "url", "asynchronous", "modules"),
    [
        ("no-driver", "postgresql://db/x", False, ("asyncpg",)),
        ("no-driver-async", "mysql://db/x", True, ("pymysql",)),
        ("no-driver-parameter", "postgresql://db/x?sslrootcert=/ca.pem", True, ("asyncpg",)),
    ],
)
def test_no_driver(
    case: str, url: str, asynchronous: bool, modules: tuple[str, ...], having: Callable[..., None]
) -> None:
    having(*modules)
    with pytest.raises(StepFailed) as seen:
        choose(parse(url), asynchronous=asynchronous)
    assert_golden(f"alembic/{case}", seen.value.message, seen.value.hint)


def test_the_wish_of_the_ini_file_comes_after_the_urls(having: Callable[..., None]) -> None:
    having(*EVERY)
    assert choose(parse("postgresql://db/x"), asynchronous=False, wished="psycopg2") == "psycopg2"
    assert choose(parse("postgresql+psycopg://db/x"), asynchronous=False, wished="psycopg2") == "psycopg"
    assert choose(parse("postgresql://db/x"), asynchronous=True, wished="psycopg2") == "psycopg"


@settings(deadline=None)
@given(user=st.text(min_size=1), password=st.text(), name=st.text(alphabet="abc-_1", min_size=1))
def test_every_password_survives_sqlalchemy_and_the_ini_file(user: str, password: str, name: str) -> None:
    from configparser import ConfigParser

    from sqlalchemy import make_url

    address = Address("postgresql", "", "db", 5433, user, password, name, (("sslmode", "require"),))
    url = sqlalchemy_url(address, "psycopg")
    parser = ConfigParser()
    parser["alembic"] = {"sqlalchemy.url": url.replace("%", "%%")}
    read = make_url(parser["alembic"]["sqlalchemy.url"])
    assert (read.username, read.password, read.host, read.port) == (user, password, "db", 5433)
    assert (read.database, dict(read.query)) == (name, {"sslmode": "require"})


@pytest.mark.parametrize(
    ("url", "driver", "expected"),
    [
        ("postgresql://u@db/x?ssl=require", "psycopg", "postgresql+psycopg://u@db:5432/x?sslmode=require"),
        (
            "postgresql://db/x?sslmode=require&application_name=a&prepared_statement_cache_size=0",
            "asyncpg",
            "postgresql+asyncpg://db:5432/x?prepared_statement_cache_size=0&ssl=require",
        ),
        (
            "postgresql+asyncpg://db/x?prepared_statement_cache_size=0&application_name=a",
            "psycopg2",
            "postgresql+psycopg2://db:5432/x?application_name=a",
        ),
        ("postgresql:///x?host=/run", "psycopg", "postgresql+psycopg:///x?host=%2Frun"),
        ("postgresql://[::1]:5433/x", "psycopg", "postgresql+psycopg://[::1]:5433/x"),
        (
            "postgresql://u:p@a:1,b:2/x",
            "psycopg",
            "postgresql+psycopg://u:p@/x?host=a%2Cb&port=1%2C2",
        ),
        ("mysql://u@db/x?charset=utf8mb4", "pymysql", "mysql+pymysql://u@db:3306/x?charset=utf8mb4"),
        ("sqlite:////data/x.db", "aiosqlite", "sqlite+aiosqlite:////data/x.db"),
        ("sqlite:///x.db", "pysqlite", "sqlite+pysqlite:///x.db"),
    ],
)
def test_urls(url: str, driver: str, expected: str) -> None:
    assert sqlalchemy_url(parse(url), driver) == expected


def test_environment_that_is_asynchronous_needs_a_driver_that_is(
    tmp_path: Path, having: Callable[..., None]
) -> None:
    having("sqlite3")
    project = AlembicProject(tmp_path, ASYNC_ENV)
    project.tables("users")
    with pytest.raises(StepFailed) as error:
        read(Upgrade(config=str(project.ini)), "current", parse("sqlite:///games.db"), lambda _: None)
    assert error.value.message == "no driver for SQLAlchemy's async engines on sqlite is installed"
    assert error.value.hint == "pip install 'aiosqlite'"
