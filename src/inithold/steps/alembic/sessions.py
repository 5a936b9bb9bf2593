"""What the engines of user code do on servers: bounded connecting, cancelled statements, and reported sessions.

A driver that blocks is interrupted from another thread: by libpq's cancel request, by SQLite's `interrupt`, and
where there is no such thing (asyncpg, MySQL) over a second connection. Each session is reported to the run, which
ends it on the server where this process must be killed; and a PostgreSQL is told to look, while it works, whether
its client is still there, so that killing everything ends the statement, too.
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
"""Seconds an engine's connection may take to come about, where the application sets no bound of its own."""
_AGAIN = 0.1
_TIMEOUTS = {
    "psycopg": "connect_timeout",
    "psycopg_async": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "aiomysql": "connect_timeout",
    "asyncmy": "connect_timeout",
    "asyncpg": "timeout",
}
_LEAST = 2  # libpq takes a shorter one for two seconds
# Servers before PostgreSQL 14 have no such setting, and others that speak its protocol may lack more.
_ABOUT_POSTGRESQL = """
SELECT pg_catalog.pg_backend_pid(),
  (SELECT backend_start::text FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()),
  (SELECT pg_catalog.set_config(name, '1s', false) FROM pg_catalog.pg_settings
   WHERE name = 'client_connection_check_interval' AND setting = '0')
"""
_KNOWN = "inithold_session"


class Watch:
    """Watches what the engines of this process do while env.py runs; its methods are listeners of SQLAlchemy's."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._ended = Event()
        self._cancelling = 0
        self._cancels: list[Callable[[], object]] = []
        self.place: tuple[str, int] | None = None
        """Where an engine connected last, or tried to."""

    def cancel(self) -> None:
        """End what runs, again and again until `end`: a request may arrive between two statements."""
        self._cancelling = get_ident()
        while not self._ended.is_set():
            for cancel in tuple(self._cancels):
                try:
                    cancel()
                except Exception as error:  # noqa: BLE001 - of any driver; the next statement stops it all the same
                    self._context.log(f"cancelling: {type(error).__name__}: {error}", level="debug")
            self._ended.wait(_AGAIN)

    def end(self) -> None:
        """Cancel nothing any more."""
        self._ended.set()

    def do_connect(self, dialect: Any, record: object, arguments: object, parameters: dict[str, Any]) -> None:
        """An engine is about to connect."""
        del record, arguments
        if get_ident() == self._cancelling:
            return
        self._context.check_cancelled()
        host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
        self.place = (host, int(port)) if host and port.isdigit() else None
        if (name := _TIMEOUTS.get(dialect.driver)) is not None:
            parameters.setdefault(name, max(_LEAST, math.ceil(self._context.remaining(CONNECT_WITHIN))))

    def engine_connect(self, connection: Connection) -> None:
        """A connection is in use, perhaps again."""
        if _KNOWN in connection.info or get_ident() == self._cancelling:
            return
        connection.info[_KNOWN] = True
        _report(connection, self._context)
        if (cancel := _canceller(connection)) is not None:
            self._cancels.append(cancel)

    def before_cursor_execute(self, *_: object) -> None:
        """A statement is about to be run."""
        if get_ident() != self._cancelling:
            self._context.check_cancelled()


@contextmanager
def watching(context: WorkerContext) -> Iterator[Watch]:
    """Watch engines; a step that is told to stop ends what runs on the server."""
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
    """Tell the run of a session on a server, so that it can end it."""
    url, raw = connection.engine.url, connection.connection
    driven: Any = raw.driver_connection
    since = None
    if connection.dialect.name == "postgresql":
        technology = "postgresql"
        try:
            with closing(raw.cursor()) as cursor:
                cursor.execute(_ABOUT_POSTGRESQL)
                backend, since, _ = cursor.fetchone() or (None, None, None)
            # What is set goes with a transaction that is rolled back.
            raw.commit()
        except Exception as error:  # noqa: BLE001 - of any driver, from a server that is not quite PostgreSQL
            context.log(f"the session is not known to its server: {type(error).__name__}", level="debug")
            raw.rollback()
            return
    elif connection.dialect.name in ("mysql", "mariadb"):
        technology, backend = "mysql", driven.thread_id()
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
        return _elsewhere(connection, f"KILL QUERY {int(raw.thread_id())}")
    return None


def _run(coroutine: Any) -> None:
    import asyncio  # noqa: PLC0415 - slow, and few projects need it

    asyncio.run(coroutine)


def _elsewhere(connection: Connection, statement: str) -> Callable[[], object]:
    """Run a statement over another connection of the same kind."""
    from sqlalchemy import create_engine, pool  # noqa: PLC0415 - slow

    url, dialect = connection.engine.url, connection.dialect
    bound = {_TIMEOUTS[dialect.driver]: 1} if dialect.driver in _TIMEOUTS else {}
    options: dict[str, Any] = {"poolclass": pool.NullPool, "connect_args": bound}

    def run() -> None:
        with create_engine(url, **options).connect() as second:
            second.exec_driver_sql(statement)

    async def run_asynchronously() -> None:
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - slow

        async with create_async_engine(url, **options).connect() as second:
            await second.exec_driver_sql(statement)

    return (lambda: _run(run_asynchronously())) if dialect.is_async else run
