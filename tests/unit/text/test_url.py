"""One reader of URLs: what it reads it can write again, and every kind that takes a URL reads it alike."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inithold.redaction.redact import MASK, SECRETS
from inithold.steps.addressed import Addressed
from inithold.steps.alembic.driver import sqlalchemy_url
from inithold.steps.postgres.conninfo import parameters, places
from inithold.steps.registry import KINDS, load
from inithold.text.url import DEFAULT_PORTS, TECHNOLOGIES, Address, parse, split

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CODED = TEXT.map(lambda text: quote(text, safe=""))
HOSTS = st.one_of(
    st.sampled_from(
        ["db", "Db.Example.org", "10.0.0.1", "[::1]", "[fe80::1%25eth0]", "b\u00fccher.example", "a_b"]
    ),
    st.text("abc-._/ @:%", min_size=1, max_size=12).map(lambda path: quote(f"/{path}", safe="")),
)
PLACES = st.tuples(HOSTS, st.none() | st.integers(0, 65535)).map(
    lambda place: place[0] if place[1] is None else f"{place[0]}:{place[1]}"
)
LOGINS = st.one_of(
    st.just(""), CODED.map("{}@".format), st.tuples(CODED, CODED).map(lambda pair: f"{pair[0]}:{pair[1]}@")
)
PARAMETERS = st.tuples(CODED, CODED).map("=".join) | st.sampled_from(
    ["host=a", "host=b:1", "host=%2Frun", "port=2"]
)
QUERIES = st.lists(PARAMETERS, max_size=3).map(lambda pairs: f"?{'&'.join(pairs)}" if pairs else "")
PATHS = st.just("") | CODED.map("/{}".format) | st.tuples(CODED, CODED).map(lambda pair: f"/{pair[0]}/{pair[1]}")


@st.composite
def urls(draw: st.DrawFn) -> str:
    scheme = draw(st.sampled_from([*TECHNOLOGIES, "postgresql+asyncpg", "redis+socket", "MYSQL+PyMySQL"]))
    if TECHNOLOGIES.get(scheme) in ("sqlite", "file") or scheme in ("unix", "redis+socket"):
        return f"{scheme}:///{draw(CODED)}x/{draw(CODED)}{draw(QUERIES)}"
    hosts = draw(st.lists(PLACES, min_size=1, max_size=3 if TECHNOLOGIES.get(scheme) == "postgresql" else 1))
    return f"{scheme}://{draw(LOGINS)}{','.join(hosts)}{draw(PATHS)}{draw(QUERIES)}"


@settings(deadline=None)
@given(url=urls())
@example(url="postgresql://app:pw@%2Fvar%2Frun%2Fpostgresql/games")
@example(url="postgresql://app@%2Frun,[::1]:5433,c/games?sslmode=require")
@example(url="postgresql:///games?host=/run&port=5433")
@example(url="postgresql://:5433/games")
@example(url="postgresql://a,b/games?host=c")
@example(url="postgresql://:/games?host=a:1&host=b:2")
@example(url="mysql2://app:@%2Frun%2Fmysqld.sock/games")
@example(url="unix://app:pw@/run/redis.sock?db=2")
@example(url="amqp://@mq//")
@example(url="sqlite+aiosqlite:////data/a%3Fb.db")
@example(url="file:///a/b c")
def test_an_address_survives_being_written_and_read_again(url: str) -> None:
    try:
        address = parse(url)
    except ValueError as error:
        # A socket where the technology has none, hosts before the path and in the query.
        assert any(f"names {what}" in str(error) for what in ("a socket", "no socket", "its hosts twice")), error
        return
    assert parse(address.url()) == address


@settings(deadline=None)
@given(rest=st.text("ab:@/?#%[],=&. 1\n", max_size=25), scheme=st.sampled_from([*DEFAULT_PORTS, "sqlite"]))
def test_any_text_is_read_whole_or_refused(rest: str, scheme: str) -> None:
    try:
        address = parse(f"{scheme}://{rest}")
    except ValueError:
        return
    assert parse(address.url()) == address
    if scheme != "sqlite":
        assert split(address.url()).scheme == scheme


PG, MY, RD = "postgresql", "mysql", "redis"
READ: dict[str, str] = {
    # PostgreSQL
    "postgresql://app:pw@db:5432/games": "postgresql://app@db:5432/games",
    "postgres://app:pw@db/games": "postgresql://app@db:5432/games",
    "postgis://app:pw@db/games": "postgresql://app@db:5432/games",
    "pgsql://app:pw@db/games": "postgresql://app@db:5432/games",
    "psql://app:pw@db/games": "postgresql://app@db:5432/games",
    "pdo-pgsql://app:pw@db/games": "postgresql://app@db:5432/games",
    "timescale://app:pw@db/games": "postgresql://app@db:5432/games",
    "postgresql+asyncpg://app:pw@db/games": "postgresql://app@db:5432/games",
    "postgresql+psycopg://app:pw@db/games": "postgresql://app@db:5432/games",
    "postgresql+psycopg2://app:pw@db/games": "postgresql://app@db:5432/games",
    "postgresql+psycopg_async://app:pw@db/games": "postgresql://app@db:5432/games",
    "POSTGRES://app:pw@db/games": "postgresql://app@db:5432/games",
    "postgresql://app:p%40s%2Fw%3Ard@db/games": "postgresql://app@db:5432/games",
    "postgresql://a,b/games": "postgresql:///games?host=a,b&port=5432,5432",
    "postgresql://app@a:1,b:2/games": "postgresql://app@/games?host=a,b&port=1,2",
    "postgresql+psycopg2://app:pw@/games?host=a:1&host=b:2": "postgresql://app@/games?host=a,b&port=1,2",
    "postgresql+asyncpg://app:pw@/games?host=/cloudsql/p:r:i": "postgresql://app@/games?host=/cloudsql/p:r:i",
    "postgresql://app:pw@[fe80::1%25eth0]:5433/games": "postgresql://app@[fe80::1%eth0]:5433/games",
    "postgresql://[::1]:5433/games": "postgresql://[::1]:5433/games",
    "postgresql://app@%2Fvar%2Frun%2Fpostgresql/games": "postgresql://app@/games?host=/var/run/postgresql",
    "postgresql:///games?host=/var/run/postgresql": "postgresql:///games?host=/var/run/postgresql",
    "postgresql://app:pw@db/games?schema=public&connection_limit=5&pool_timeout=10": "postgresql://app@db:5432/games",
    "postgresql://app:pw@db/games?pgbouncer=true&sslaccept=strict": "postgresql://app@db:5432/games",
    "postgres://app:pw@db/games?conn_max_age=600&conn_health_checks=true": "postgresql://app@db:5432/games",
    "postgresql+asyncpg://app:pw@db/games?ssl=prefer&prepared_statement_cache_size=0": "postgresql://app@db:5432/games",
    "postgresql://app:pw@db/games?statement_cache_size=0&command_timeout=60": "postgresql://app@db:5432/games",
    "postgres://app:pw@db/games?pool=5&encoding=unicode&prepared_statements=false": "postgresql://app@db:5432/games",
    "postgresql://app:pw@db/games?sslmode=require&application_name=web": "postgresql://app@db:5432/games",
    "postgresql://app:pw@db/games?ssl=true": "postgresql://app@db:5432/games",
    "postgresql://db/games?options=-csearch_path%3Dapp": "postgresql://db:5432/games",
    # MySQL and MariaDB
    "mysql://app:pw@db:3306/games": "mysql://app@db:3306/games",
    "mariadb://app:pw@db/games": "mysql://app@db:3306/games",
    "mysql2://app:pw@db/games?pool=5&reconnect=true&encoding=utf8mb4": "mysql://app@db:3306/games",
    "trilogy://app:pw@db/games": "mysql://app@db:3306/games",
    "mysqlgis://app:pw@db/games": "mysql://app@db:3306/games",
    "mysqli://app:pw@db/games": "mysql://app@db:3306/games",
    "mysql+pymysql://app:pw@db/games?charset=utf8mb4": "mysql://app@db:3306/games",
    "mysql+aiomysql://app:pw@db/games": "mysql://app@db:3306/games",
    "mariadb+mariadbconnector://app:pw@db/games": "mysql://app@db:3306/games",
    "mysql://app:pw@db/games?connection_limit=5&sslaccept=strict&pool_timeout=3": "mysql://app@db:3306/games",
    "mysql://app:pw@db/games?ssl_mode=REQUIRED": "mysql://app@db:3306/games",
    "mysql://app:pw@db/games?ssl-mode=VERIFY_IDENTITY&ssl_ca=/ca.pem": "mysql://app@db:3306/games",
    "mysql://app@%2Frun%2Fmysqld%2Fmysqld.sock/games": "mysql://app@/games?unix_socket=/run/mysqld/mysqld.sock",
    "mysql2://app@localhost/games?socket=/run/mysqld.sock": "mysql://app@localhost:3306/games",
    # SQLite
    "sqlite:///games.db": "sqlite:///games.db",
    "sqlite:////data/games.db": "sqlite:////data/games.db",
    "sqlite+aiosqlite:////data/games.db": "sqlite:////data/games.db",
    "sqlite3:///games.db?timeout=5": "sqlite:///games.db",
    "spatialite:///games.db": "sqlite:///games.db",
    # RabbitMQ
    "amqp://app:pw@mq:5672/%2F": "amqp://app@mq:5672/%2F",
    "amqp://app:pw@mq//": "amqp://app@mq:5672/%2F",
    "pyamqp://app:pw@mq/games": "amqp://app@mq:5672/games",
    "amqp://mq?heartbeat=30&connection_attempts=3": "amqp://mq:5672",
    "amqp+ssl://app:pw@mq/games": "amqps://app@mq:5671/games",
    "amqps://app:pw@mq/games?verify=verify_none": "amqps://app@mq:5671/games",
    # Redis and Valkey
    "redis://:pw@cache:6379/0": "redis://cache:6379/0",
    "redis://default:pw@cache/1?decode_responses=true": "redis://default@cache:6379/1",
    "rediss://cache:6380/0?ssl_cert_reqs=CERT_NONE": "rediss://cache:6380/0",
    "valkey://cache": "redis://cache:6379",
    "valkeys://cache": "rediss://cache:6379",
    "unix:///run/redis/redis.sock?db=2": "unix:///run/redis/redis.sock",
    "unix://app:pw@/run/redis.sock": "unix://app@/run/redis.sock",
    "redis+socket:///run/redis.sock?virtual_host=3": "unix:///run/redis.sock",
    "redis+unix:///run/redis.sock": "unix:///run/redis.sock",
    "redis+tls://cache/1": "rediss://cache:6379/1",
    "redis://%2Frun%2Fredis.sock/1": "unix:///run/redis.sock",
    # HTTP
    "http://web:8080/health?token=abcdefgh": "http://web:8080/health",
    "https://web/@scope/health": "https://web:443/%40scope/health",
    "https://robot:pw@web/health": "https://robot@web:443/health",
}
assert len(READ) >= 60
REFUSED: dict[str, tuple[str, str]] = {
    "redis+sentinel://:planted@s1:26379,s2:26379/mymaster": (RD, "write redis://host:6379"),
    "sentinel://s1:26379;sentinel://s2:26379": (
        RD,
        "Redis Sentinel or Cluster, which are not supported: write redis",
    ),
    "redis+cluster://n1:6379": (RD, "Redis Sentinel or Cluster, which are not supported: write redis"),
    "redis://n1:6379,n2:6379": (RD, "write redis://host:6379 of one"),
    "redis-sentinel://s1:26379": (RD, "write redis://host:6379"),
    "jdbc:postgresql://db:5432/games?user=app&password=planted": (
        PG,
        "is a JDBC URL: write postgresql://user:password@host:5432/database",
    ),
    "jdbc:mysql://db:3306/games": (MY, "is a JDBC URL: write mysql://user:password@host:3306/database"),
    "r2dbc:postgresql://db/games": (PG, "write postgresql://user:password@host:5432/database"),
    "jdbc:sqlserver://db:1433;user=app;password=planted": (
        PG,
        "is a JDBC URL of sqlserver: expected postgresql://",
    ),
    "postgresql://app:planted-4@db/games\n": (PG, "has a blank or a line break before or behind it"),
    "jdbc:sqlite:games.db": ("sqlite", "is a JDBC URL: write sqlite:///relative.db"),
    "host=db user=app password=planted-1 dbname=games": (
        PG,
        "is a DSN of keywords: write postgresql://user:password",
    ),
    "dbname=games": (PG, "or give host, port, user, password and database"),
    "Server=db;Database=games;User Id=app;Password=planted-2;": (PG, "is a DSN of keywords"),
    "mysql:host=db;dbname=games": (MY, "write mysql://user:password@host:3306/database"),
    "app:planted-3@tcp(db:3306)/games": (MY, "is a Go DSN: write mysql://user:password@host:3306/database"),
    "file:./dev.db": ("sqlite", "is a Prisma URL: write sqlite:///relative.db"),
    "mysql://a,b/games": (MY, "names several hosts: expected mysql://host"),
    "amqp://a,b/games": ("amqp", "names several hosts: expected amqp://host"),
    "amqp://%2Frun%2Fmq.sock/games": ("amqp", "names a socket as its host"),
    "unix://": (RD, "names no socket: expected unix:///run/redis/redis.sock"),
    "mssql://app@db/games": (PG, "has the scheme 'mssql': expected postgresql://"),
    "postgresql://app@server:planted-4@db/games": (PG, "percent-encode the characters @"),
}
FIELDS: Mapping[str, dict[str, Any]] = {
    "database.sql": {"sql": "SELECT 1"},
    "database.tables": {"tables": ["t"]},
    "postgres.roles": {"roles": [{"name": "app"}]},
}
NETWORKED = {name: load(name) for name in KINDS if "url" in inspect.signature(load(name)).parameters}


def _kinds() -> dict[str, Any]:
    return {
        name: kind for name, kind in NETWORKED.items() if issubclass(kind, Addressed) or name.startswith("http.")
    }


def _technologies(step: Any) -> tuple[str, ...]:
    return ("http", "https") if step.kind.startswith("http.") else tuple(step.technologies)


def _step(kind: str, url: str) -> Any:
    return NETWORKED[kind](url=url, **FIELDS.get(kind, {}))


def test_the_table_goes_through_every_kind_that_takes_a_url() -> None:
    assert set(_kinds()) == set(NETWORKED)
    assert len(NETWORKED) >= 10


@pytest.mark.parametrize("url", READ)
def test_every_kind_reads_the_urls_of_its_technologies_alike(url: str) -> None:
    address = parse(url)
    assert address.shown == READ[url]
    assert parse(address.url()) == address
    takers = 0
    for kind in NETWORKED:
        step = _step(kind, url)
        faults = [text for field, text in step.validate() if field == "url"]
        if address.technology in _technologies(step):
            assert faults == [], kind
            takers += 1
            if kind not in ("mysql.database", "postgres.database"):  # these show the database that they make
                assert step.subject() == address.shown
        else:
            assert "expected" in faults[0], kind
    assert takers


@pytest.mark.parametrize("url", REFUSED)
def test_every_kind_refuses_alike_and_says_what_to_write(url: str) -> None:
    technology, says = REFUSED[url]
    for kind in NETWORKED:
        step = _step(kind, url)
        if technology in _technologies(step):
            faults = [text for field, text in step.validate() if field == "url"]
            assert faults, kind
            if not (says.startswith("has the scheme") or "keywords" in says):
                assert says in faults[0], kind
            assert "planted" not in faults[0]
            assert step.subject() in ("", "alembic.ini")
    with pytest.raises(ValueError, match=r".") as raised:
        parse(url, [technology])
    assert says in str(raised.value)
    assert "planted" not in str(raised.value)
    for planted in ("planted-1", "planted-2", "planted-3", "planted-4"):
        if planted in url:
            assert SECRETS.scrub(f"x {planted} x") == f"x {MASK} x"


@pytest.mark.parametrize("url", [url for url in READ if parse(url).technology == PG])
def test_postgresql_gets_only_parameters_that_its_drivers_know(url: str) -> None:
    import asyncpg
    from psycopg.conninfo import make_conninfo
    from sqlalchemy import make_url

    address = parse(url)
    assert make_conninfo(**parameters(address, "inithold"))
    assert places(parameters(address, "inithold"))
    for driver in ("psycopg", "psycopg2"):
        _, given = (
            make_url(sqlalchemy_url(address, driver))
            .get_dialect()()
            .create_connect_args(make_url(sqlalchemy_url(address, driver)))
        )
        make_conninfo(
            **{name: value for name, value in given.items() if name not in ("prepare_threshold", "context")}
        )
    read = make_url(sqlalchemy_url(address, "asyncpg"))
    _, given = read.get_dialect()().create_connect_args(read)
    known = {*inspect.signature(asyncpg.connect).parameters, "prepared_statement_cache_size", "async_fallback"}
    assert {name for name in given if name != "options"} <= known


@pytest.mark.parametrize("url", [url for url in READ if parse(url).technology == MY])
@pytest.mark.parametrize("driver", ["pymysql", "aiomysql"])
def test_mysql_gets_only_parameters_that_its_drivers_know(url: str, driver: str) -> None:
    import aiomysql
    import pymysql
    from sqlalchemy import make_url

    read = make_url(sqlalchemy_url(parse(url), driver))
    _, given = read.get_dialect()().create_connect_args(read)
    connect = pymysql.connections.Connection.__init__ if driver == "pymysql" else aiomysql.connect
    assert set(given) <= {*inspect.signature(connect).parameters}
    if "REQUIRED" in url:
        assert given["ssl"] == {"check_hostname": False}
    if "IDENTITY" in url:
        assert given["ssl"] == {"check_hostname": True, "ca": "/ca.pem"}


def test_parts_that_name_a_socket_or_several_hosts() -> None:
    assert Address.of_parts("redis", "/run/redis.sock") == parse("unix:///run/redis.sock")
    assert Address.of_parts("mysql", "/run/my.sock", user="a") == parse("mysql://a@%2Frun%2Fmy.sock")
    assert Address.of_parts("postgresql", "/run", 5433, database="x") == parse("postgresql://%2Frun:5433/x")
    assert Address.of_parts("postgresql", "a,b").query == (("host", "a,b"),)
