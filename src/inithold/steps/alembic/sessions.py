"""Bounds, reports and cancels what the SQLAlchemy engines of user code do on servers.

Connecting gets a timeout. A blocking driver is interrupted from another thread: with libpq's cancel request,
SQLite's `interrupt`, or over a second connection (asyncpg, MySQL). Each session is reported to the run, which
ends it on the server if it has to kill this process. PostgreSQL is told to check during statements whether its
client is still there, so that a statement ends even if everything is killed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, get_ident
from typing import TYPE_CHECKING, Any

from inithold.steps.base import WorkerContext

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CONNECT_WITHIN = 5.0
"""Seconds in which an engine must connect, unless the application sets its own limit."""
_AGAIN = 0.1
_TIMEOUTS = {"asyncpg": "timeout"} | dict.fromkeys(
    ("psycopg", "psycopg_async", "psycopg2", "pymysql", "mysqldb", "aiomysql", "asyncmy"), "connect_timeout"
)
_LEAST = 2  # libpq's minimum, in seconds.
# The setting exists since PostgreSQL 14; other servers with its protocol may lack more.
_ABOUT_POSTGRESQL = """
SELECT pg_catalog.pg_backend_pid(),
  (SELECT backend_start::text FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()),
  (SELECT pg_catalog.set_config(name, '1s', false) FROM pg_catalog.pg_settings
   WHERE name = 'client_connection_check_interval' AND setting = '0')
"""
_TAKE_SESSION_LOCK = "SELECT pg_catalog.pg_try_advisory_lock_shared('{}'::bigint)"
_KNOWN = "inithold_session"


class Watch:
    """Watches the engines of this process while env.py runs; its methods are SQLAlchemy event listeners."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._ended = Event()
        self._cancelling = 0
        self._cancels: list[Callable[[], object]] = []
        self.place: tuple[str, int] | None = None
        """Host and port of the latest connection attempt."""

    def cancel(self) -> None:
        """Cancel statements repeatedly until `end`: a request may arrive between two statements."""
        self._cancelling = get_ident()
        while not self._ended.is_set():
            for cancel in tuple(self._cancels):
                try:
                    cancel()
                except Exception as error:  # noqa: BLE001 - of any driver; the next statement is refused anyway
                    self._context.log(f"cancelling: {type(error).__name__}: {error}", level="debug")
            self._ended.wait(_AGAIN)

    def end(self) -> None:
        """Stop cancelling."""
        self._ended.set()

    def do_connect(self, dialect: Any, record: object, arguments: object, parameters: dict[str, Any]) -> None:
        """Set a timeout before an engine connects."""
        del record, arguments
        timeout = _TIMEOUTS.get(dialect.driver)
        if get_ident() == self._cancelling:
            if timeout is not None:
                parameters[timeout] = 1
            return
        self._context.check_cancelled()
        host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
        self.place = (host, int(port)) if host and port.isdigit() else None
        if timeout is not None:
            parameters.setdefault(timeout, max(_LEAST, math.ceil(self._context.remaining(CONNECT_WITHIN))))

    def engine_connect(self, connection: Connection) -> None:
        """Report a new connection, and remember how to cancel its statements."""
        if _KNOWN in connection.info or get_ident() == self._cancelling:
            return
        connection.info[_KNOWN] = True
        _report(connection, self._context)
        if (cancel := _canceller(connection)) is not None:
            self._cancels.append(cancel)

    def before_cursor_execute(self, *_: object) -> None:
        """Refuse statements after a cancellation."""
        if get_ident() != self._cancelling:
            self._context.check_cancelled()


@contextmanager
def watching(context: WorkerContext) -> Iterator[Watch]:
    """Watch engines; if the step is told to stop, cancel what runs on the server."""
    from sqlalchemy import event  # noqa: PLC0415 - slow
    from sqlalchemy.engine import Engine  # noqa: PLC0415 - slow

    watch = Watch(context)
    listeners = (watch.do_connect, watch.engine_connect, watch.before_cursor_execute)
    for listener in listeners:
        event.listen(Engine, listener.__name__, listener)
    try:
        with context.on_cancel(watch.cancel):
            try:
                yield watch
            finally:
                watch.end()
    finally:
        for listener in listeners:
            event.remove(Engine, listener.__name__, listener)


def _report(connection: Connection, context: WorkerContext) -> None:
    """Report a session to the run, which may have to end it on the server. A gate also looks at its database."""
    url, raw = connection.engine.url, connection.connection
    since = None
    if connection.dialect.name == "postgresql":
        technology = "postgresql"
        try:
            with closing(raw.cursor()) as cursor:
                cursor.execute(_ABOUT_POSTGRESQL)
                backend, since, _ = cursor.fetchone() or (None, None, None)
                if context.session_lock is not None:
                    cursor.execute(_TAKE_SESSION_LOCK.format(context.session_lock.key))
            # A rollback would undo the setting.
            raw.commit()
        except Exception as error:  # noqa: BLE001 - of any driver, from a server that only resembles PostgreSQL
            context.log(f"the session is not known to its server: {type(error).__name__}", level="debug")
            raw.rollback()
            return
    elif connection.dialect.name in ("mysql", "mariadb"):
        technology, backend = "mysql", mysql_session(raw)
    elif connection.dialect.name == "sqlite":
        technology, backend = "sqlite", 0
    else:
        return
    if backend is not None:
        context.opened_session(
            {
                "technology": technology,
                "url": url.set(drivername=technology).render_as_string(hide_password=False),
                "shown": f"{url.host or technology}{f':{url.port}' if url.port else ''}",
                "backend": int(backend),
                "since": since,
            }
        )


def mysql_session(raw: Any) -> int:
    """The server's number for a session; each driver has another name for it.

    Args:
        raw: the DBAPI connection, as SQLAlchemy adapts it.
    """
    with closing(raw.cursor()) as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def _canceller(connection: Connection) -> Callable[[], object] | None:
    raw: Any = connection.connection.driver_connection
    driver = connection.dialect.driver
    if driver in ("psycopg", "psycopg_async", "psycopg2"):
        return raw.cancel  # type: ignore[no-any-return]
    if driver == "pysqlite":
        return raw.interrupt  # type: ignore[no-any-return]
    if driver == "aiosqlite":
        return lambda: _run(raw.interrupt())
    if driver == "asyncpg":
        return _elsewhere(connection, f"SELECT pg_cancel_backend({int(raw.get_server_pid())})")
    if connection.dialect.name in ("mysql", "mariadb"):
        return _elsewhere(connection, f"KILL QUERY {mysql_session(connection.connection)}")
    return None


def _run(coroutine: Any) -> None:
    import asyncio  # noqa: PLC0415 - slow, and few projects need it

    asyncio.run(coroutine)


def _elsewhere(connection: Connection, statement: str) -> Callable[[], object]:
    """Return a function that runs a statement over a second connection, made as the engine makes its own."""
    from sqlalchemy import create_engine  # noqa: PLC0415 - slow

    # The engine's URL alone may lack what the application passes otherwise: a password, TLS, a function.
    url, pool = connection.engine.url, connection.engine.pool

    def run() -> None:
        engine = create_engine(url, pool=pool.recreate())
        try:
            with engine.connect() as second:
                second.exec_driver_sql(statement)
        finally:
            engine.dispose()

    async def run_asynchronously() -> None:
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - slow

        engine = create_async_engine(url, pool=pool.recreate())
        try:
            async with engine.connect() as second:
                await second.exec_driver_sql(statement)
        finally:
            await engine.dispose()

    return (lambda: _run(run_asynchronously())) if connection.dialect.is_async else run
