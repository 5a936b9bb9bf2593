"""A cancelled step ends the statement that runs on the server; the transaction rolls back.

The drivers block without an end, so the statement is ended from another thread: by libpq's cancel request
(`PQcancel`), by SQLite's `interrupt`, and where there is no such thing (asyncpg, MySQL) over a second connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, get_ident
from typing import TYPE_CHECKING, Any

from inithold.steps.base import StepContext

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


class Watch:
    """Watches what the engines of this thread do while env.py runs."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._thread = get_ident()
        self._ended = Event()
        self._lock = Lock()
        self._cancels: list[Callable[[], object]] = []
        self._watched: list[Connection] = []
        self.place: tuple[str, int] | None = None
        """Where a connection was wanted last."""

    def connection(self, connection: Connection) -> None:
        """Have each statement of a connection ask first, and be ended when the step is told to stop."""
        from sqlalchemy import event  # noqa: PLC0415 - slow

        if connection in self._watched:
            return
        event.listen(connection, "before_cursor_execute", self._before_statement)
        self._watched.append(connection)
        if (cancel := _canceller(connection)) is not None:
            with self._lock:
                self._cancels.append(cancel)

    def cancel(self) -> None:
        """End what runs, again and again until `end`: a request may arrive between two statements."""
        if get_ident() == self._thread:
            return  # the step was told to stop before it began: the first statement says so
        while not self._ended.is_set():
            with self._lock:
                if self._ended.is_set():
                    return
                for cancel in self._cancels:
                    try:
                        cancel()
                    except Exception as error:  # noqa: BLE001 - of any driver; the next statement stops it all the same
                        self._context.log(f"cancelling: {type(error).__name__}: {error}", level="debug")
            self._ended.wait(_AGAIN)

    def end(self) -> None:
        """Cancel nothing any more: the connections may be somebody else's by now."""
        from sqlalchemy import event  # noqa: PLC0415 - slow

        with self._lock:
            self._ended.set()
        for connection in self._watched:
            event.remove(connection, "before_cursor_execute", self._before_statement)

    def before_connect(self, dialect: Any, record: object, arguments: object, parameters: dict[str, Any]) -> None:
        """SQLAlchemy's `do_connect`: an engine is about to connect."""
        del record, arguments
        if get_ident() != self._thread:
            return
        self._context.check_cancelled()
        host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
        self.place = (host, int(port)) if host and port.isdigit() else None
        if (name := _TIMEOUTS.get(dialect.driver)) is not None:
            parameters.setdefault(name, max(_LEAST, math.ceil(self._context.remaining(CONNECT_WITHIN))))

    def _before_statement(self, *_: object) -> None:
        self._context.check_cancelled()


@contextmanager
def watching(context: StepContext) -> Iterator[Watch]:
    """Watch engines; a step that is told to stop ends what runs on the server."""
    from sqlalchemy import event  # noqa: PLC0415 - slow
    from sqlalchemy.engine import Engine  # noqa: PLC0415 - slow

    watch = Watch(context)
    event.listen(Engine, "do_connect", watch.before_connect)
    try:
        with context.on_cancel(watch.cancel):
            try:
                yield watch
            finally:
                watch.end()
    finally:
        event.remove(Engine, "do_connect", watch.before_connect)


def _canceller(connection: Connection) -> Callable[[], object] | None:
    raw: Any = connection.connection.driver_connection
    driver = connection.dialect.driver
    cancel: Callable[[], object] | None = None
    if driver in ("psycopg", "psycopg_async"):
        cancel = raw.pgconn.get_cancel().cancel
    elif driver == "psycopg2":
        cancel = raw.cancel
    elif driver == "pysqlite":
        cancel = raw.interrupt
    elif driver == "aiosqlite":
        cancel = raw._conn.interrupt
    elif driver == "asyncpg":
        cancel = _elsewhere(connection, f"SELECT pg_cancel_backend({int(raw.get_server_pid())})")
    elif connection.dialect.name in ("mysql", "mariadb"):
        cancel = _elsewhere(connection, f"KILL QUERY {int(raw.thread_id())}")
    return cancel


def _elsewhere(connection: Connection, statement: str) -> Callable[[], object]:
    """Run a statement over another connection of the same kind."""
    from sqlalchemy import create_engine, pool  # noqa: PLC0415 - slow

    url, dialect = connection.engine.url, connection.dialect
    bound = {_TIMEOUTS[dialect.driver]: 1} if dialect.driver in _TIMEOUTS else {}

    def run() -> None:
        with create_engine(url, poolclass=pool.NullPool, connect_args=bound).connect() as second:
            second.exec_driver_sql(statement)

    async def run_asynchronously() -> None:
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - slow

        async with create_async_engine(url, poolclass=pool.NullPool, connect_args=bound).connect() as second:
            await second.exec_driver_sql(statement)

    def run_in_a_loop() -> None:
        import asyncio  # noqa: PLC0415 - slow, and few projects need it

        asyncio.run(run_asynchronously())

    return run_in_a_loop if dialect.is_async else run
