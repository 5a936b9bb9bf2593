"""Turns a plain URL into SQLAlchemy's, with an installed driver that fits the application's env.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import quote

from inithold.errors import StepFailed
from inithold.steps.address import DEFAULT_PORTS, Address
from inithold.steps.base import StepContext
from inithold.steps.database.driver import session
from inithold.steps.postgres.conninfo import libpq_query


class Driver(NamedTuple):
    """A driver of SQLAlchemy, by its name in URLs; whether it works with plain engines, and with async ones."""

    name: str
    module: str
    blocking: bool
    asynchronous: bool


# In order of preference; psycopg is first because it works with both kinds of engine.
DRIVERS = {
    "postgresql": (
        Driver("psycopg", "psycopg", True, True),
        Driver("psycopg_async", "psycopg", False, True),
        Driver("psycopg2", "psycopg2", True, False),
        Driver("asyncpg", "asyncpg", False, True),
        Driver("pg8000", "pg8000", True, False),
    ),
    "mysql": (
        Driver("pymysql", "pymysql", True, False),
        Driver("mysqldb", "MySQLdb", True, False),
        Driver("aiomysql", "aiomysql", False, True),
        Driver("asyncmy", "asyncmy", False, True),
    ),
    "sqlite": (
        Driver("pysqlite", "sqlite3", True, False),
        Driver("aiosqlite", "aiosqlite", False, True),
    ),
}
_TO_INSTALL = {
    ("postgresql", False): "inithold[postgres]",
    ("postgresql", True): "inithold[postgres]",
    ("mysql", False): "inithold[mysql]",
    ("mysql", True): "aiomysql",
    ("sqlite", True): "aiosqlite",
}
# Parameters of libpq (https://www.postgresql.org/docs/current/libpq-connect.html) that may be left out for
# asyncpg: they only tune a connection, without any effect on access or trust.
_TUNING = {
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
}
_ASYNCPG = {"host", "port", "ssl", "target_session_attrs", "passfile", "service", "krbsrvname"}
"""Parameters of libpq that asyncpg takes as text, and `ssl`, its name for sslmode."""
_ASYNCPG_ONLY = {"prepared_statement_cache_size", "async_fallback"}
"""Parameters that SQLAlchemy takes only for asyncpg."""
# Parameters that SQLAlchemy and MySQL drivers take as text: https://docs.sqlalchemy.org/en/20/dialects/mysql.html
_MYSQL_NAMES = """
autocommit charset client_flag connect_timeout init_command local_infile program_name read_default_file
read_default_group sql_mode ssl_ca ssl_capath ssl_cert ssl_check_hostname ssl_cipher ssl_key unix_socket
use_unicode
"""
_MYSQL = frozenset(_MYSQL_NAMES.split())
_MYSQL_ALSO = {
    "pymysql": ("binary_prefix", "collation", "read_timeout", "ssl_disabled", "ssl_verify_cert", "write_timeout"),
    "mysqldb": ("collation", "compress", "read_timeout", "ssl_mode", "write_timeout"),
}
_TLS_WANTED = {"required": "false", "verify_ca": "false", "verify_identity": "true", "true": "false", "1": "false"}
"""`ssl_check_hostname` for each `ssl_mode` or `ssl`; with it, every driver requires TLS."""


_KNOWN = {driver.name for drivers in DRIVERS.values() for driver in drivers}


@cache
def installed(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    return find_spec(module) is not None


def choose(address: Address, *, asynchronous: bool, wished: str = "") -> str:
    """Choose a driver.

    Args:
        address: of the database; a driver that it names is kept if it is installed and fits.
        asynchronous: whether env.py connects through an async engine.
        wished: the driver to prefer otherwise, such as that of the URL in alembic.ini.

    Raises:
        StepFailed: none is installed.
    """
    drivers = DRIVERS[address.technology]
    if address.driver and address.driver not in {driver.name for driver in drivers}:
        return address.driver  # Unknown here, but SQLAlchemy may know it.
    fitting = [
        driver
        for driver in drivers
        if (driver.asynchronous if asynchronous else driver.blocking)
        and installed(driver.module)
        and not (driver.name == "asyncpg" and _beyond_asyncpg(address))
    ]
    for name in (address.driver, wished):
        if any(driver.name == name for driver in fitting):
            return name
    if fitting:
        return fitting[0].name
    sort = "async engines" if asynchronous else "engines"
    beyond = _beyond_asyncpg(address) if installed("asyncpg") else ()
    why = f" (asyncpg does not know {', '.join(beyond)} of the url's query)" if asynchronous and beyond else ""
    raise StepFailed(
        f"no driver for SQLAlchemy's {sort} on {address.technology} is installed{why}",
        hint=f"pip install '{_TO_INSTALL[address.technology, asynchronous]}'",
    )


def sqlalchemy_url(address: Address, driver: str) -> str:
    """Return the address as a URL for SQLAlchemy, including the password."""
    from sqlalchemy.engine import URL  # noqa: PLC0415 - slow

    query: dict[str, str | Sequence[str]] = dict(_query(address, driver))
    port: int | None = address.port or None
    if not address.host:
        if port != DEFAULT_PORTS.get(address.technology) and port is not None:
            query.setdefault("port", str(port))
        port = None
    bare = URL.create(
        f"{address.technology}+{driver}",
        host=address.host or None,
        port=port,
        database=address.database,
        query=query,
    ).render_as_string(hide_password=False)
    if address.user is None and address.password is None:
        return bare
    # Quoted here, because not every SQLAlchemy 2 quotes a percent sign.
    password = "" if address.password is None else f":{quote(address.password, safe='')}"
    scheme, _, rest = bare.partition("://")
    return f"{scheme}://{quote(address.user or '', safe='')}{password}@{rest}"


def preferred(technology: str) -> Driver | None:
    """Return the driver that will most likely be chosen, to import it early."""
    return next((driver for driver in DRIVERS[technology] if installed(driver.module)), None)


def _query(address: Address, driver: str) -> Iterable[tuple[str, str]]:
    """Yield the parameters that the driver takes; those meant for another driver are left out."""
    if address.technology == "mysql":
        for name, value in address.query:
            if name in _MYSQL or name in _MYSQL_ALSO.get(driver, ()) or driver not in _KNOWN:
                yield name, value
            elif name in ("ssl_mode", "ssl-mode", "ssl") and value.lower() in _TLS_WANTED:
                yield "ssl_check_hostname", _TLS_WANTED[value.lower()]
            elif name == "ssl_verify_identity":
                yield "ssl_check_hostname", value
    elif address.technology != "postgresql" or driver not in _KNOWN:
        yield from address.query
    elif driver == "asyncpg":
        query = libpq_query(address)
        if "sslmode" in query:
            query["ssl"] = query.pop("sslmode")
        yield from ((name, value) for name, value in query.items() if name in _ASYNCPG)
        yield from (pair for pair in address.query if pair[0] in _ASYNCPG_ONLY)
    else:
        yield from libpq_query(address).items()


def _beyond_asyncpg(address: Address) -> tuple[str, ...]:
    known = _TUNING | _ASYNCPG | {"sslmode"}
    return tuple(name for name in libpq_query(address) if name not in known)


def answers(address: Address, context: StepContext) -> bool:
    """Connect as `database.ready` does, with a timeout and exact errors.

    Returns:
        False if inithold's own driver is not installed, so nothing was tried.

    Raises:
        NotYet, Rejected, StepFailed: the database does not answer.
    """
    try:
        with session(address, context) as database:
            database.answer()
    except ImportError:
        return False
    return True
