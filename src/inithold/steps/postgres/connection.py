"""Connections to PostgreSQL with psycopg: every wait has a limit, every failure is "not yet" or "never"."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from inithold.errors import NotYet
from inithold.net.bounds import CANCEL_WITHIN, BoundedSocket, Bounds, Until
from inithold.net.dial import dial
from inithold.process.imports import import_alone
from inithold.steps.address import Address, parse
from inithold.steps.base import SessionLock, StepContext
from inithold.steps.database.driver import ANSWER_WITHIN, CatalogRow, versions
from inithold.steps.database.guard import Answer, judged, no_query, require
from inithold.steps.database.script import Script
from inithold.steps.postgres.conninfo import SILENCE, Place, parameters, places
from inithold.steps.postgres.verdicts import connect_error, statement_error, verdict

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]
# Only if it is 0, which means off: any other value was set on purpose. Not every operating system supports it.
_END_WITH_CLIENT = """
SELECT pg_catalog.set_config(name, '1s', true) FROM pg_catalog.pg_settings
WHERE name = 'client_connection_check_interval' AND setting = '0' AND pg_catalog.version() ~ 'linux'
"""
_MARK = "SELECT pg_catalog.pg_try_advisory_xact_lock_shared($1::bigint)"
_CATALOG = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND lower(c.relname) = ANY ($1::text[])
"""
# `backend_start` distinguishes it from a later session with the same pid.
_END_SESSION = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = $1::int AND ($2::text IS NULL OR backend_start::text = $2)
"""
_UNDEFINED = ("42P01", "3F000", "42703", "42883")
"""Undefined table, schema, column or function: a guard that fails with one of these is not in place."""


def open_session(address: Address, context: StepContext, *, create: bool = False) -> Connection:  # noqa: ARG001 - SQLite's
    """Connect for a step; see `inithold.steps.database.driver.session`."""
    connection = connect(address, context)
    connection.log = context.log
    connection.session_lock = context.session_lock
    return connection


def connect(
    address: Address, bounds: Bounds, *, application_name: str = "inithold", silence: int = SILENCE
) -> Connection:
    """Connect to the first host of the address that accepts the login.

    Args:
        address: of technology `postgresql`; parameters of libpq in its query are passed on.
        bounds: of the step.
        application_name: our name in the server's views, unless the address has another.
        silence: seconds of silence after which the connection counts as lost.

    Raises:
        NotYet: the server is not up yet.
        Rejected: the password, role or database is refused.
        StepFailed: TLS or a parameter is wrong, or the server is not PostgreSQL.
    """
    given = parameters(address, application_name, silence)
    errors: list[NotYet] = []
    for place in places(given):
        try:
            return _connect(given, place, bounds)
        except NotYet as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise NotYet("; ".join(error.message for error in errors), hint=errors[-1].hint) from errors[-1]


def _connect(given: Mapping[str, str], place: Place, bounds: Bounds) -> Connection:
    accepted: dict[str, str] = {}
    if place.target is not None:
        # Dial first: it tells a failed lookup from a refused connection, before anything heavy is imported.
        accepted["hostaddr"] = dial(*place.target, timeout=bounds.remaining(5.0))
    bounds.check_cancelled()
    import_alone("psycopg")
    import psycopg  # noqa: PLC0415 - heavy

    most = ANSWER_WITHIN
    with suppress(KeyError, ValueError):
        # To libpq, zero, negative or absent means no limit.
        most = float(given["connect_timeout"]) if float(given["connect_timeout"]) > 0 else most
    seconds = max(2, math.ceil(bounds.remaining(most)))  # 2 is psycopg's minimum.
    options: dict[str, Any] = {**given, **place.parameters, **accepted, "connect_timeout": seconds}
    try:
        raw = psycopg.connect(
            # No prepared statements: a proxy may use another server for each transaction.
            "",
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.RawCursor,
            **options,
        )
    except psycopg.errors.ConnectionTimeout as error:
        raise NotYet(f"{place.shown}: accepts connections but does not answer ({seconds} s)") from error
    except psycopg.Error as error:
        raise connect_error(place.shown, error) from error
    return Connection(raw, bounds, place.shown)


class Connection:
    """A connection to PostgreSQL; see also `inithold.steps.database.driver.Session`.

    Each statement commits by itself, unless a transaction is begun. If the step is told to stop, the statement is
    cancelled on the server. Use it from one thread at a time.
    """

    folds_tables = False
    folds_columns = False

    def __init__(self, raw: psycopg.Connection[Row], bounds: Bounds, where: str) -> None:
        self.raw = raw
        self.where = where
        self.log: Callable[[str], None] = lambda _: None
        self.session_lock: SessionLock | None = None
        self._completed = 0
        """How many statements of the last `execute` succeeded."""
        self._socket = BoundedSocket(raw.fileno(), bounds, where)

    def log_notices(self) -> None:
        """Log notices of the server from now on, such as `WARNING: ...`."""
        self.raw.add_notice_handler(lambda notice: self.log(f"{notice.severity}: {notice.message_primary}"))

    def rows(self, query: str, *parameters: object, seconds: float = ANSWER_WITHIN) -> list[Row]:
        """Run a query of inithold's own, with `$1`, `$2` for the parameters; `seconds` limit the answer.

        Raises:
            NotYet: no answer in time, or the connection is lost.
            StepFailed: the query fails.
            Interrupted: the step was told to stop.
        """
        with explained(self.where):
            return self._query(query, *parameters, seconds=seconds)

    def execute(self, statements: str) -> None:
        """Run statements in one message.

        Raises:
            psycopg.Error: a statement fails, or the connection is lost.
            Interrupted: the step was told to stop.
        """
        from psycopg import ProgrammingError, errors, pq  # noqa: PLC0415 - heavy

        copying = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)
        self._completed = 0
        handle, poller = self.raw.pgconn, select.poll()
        refused: psycopg.Error | None = None
        # Not with a cursor, which does not tell which statement failed. Polling lets other threads run.
        with self._socket.bounded(None, self._cancel):
            handle.send_query(statements.encode())
            poller.register(handle.socket, select.POLLIN | select.POLLOUT)
            while handle.flush():
                poller.poll()
                handle.consume_input()
            poller.modify(handle.socket, select.POLLIN)
            while True:
                while handle.is_busy():
                    poller.poll()
                    handle.consume_input()
                if (result := handle.get_result()) is None:
                    break
                if result.status in copying:
                    raise ProgrammingError("COPY from or to the client")
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    refused = errors.error_from_result(result)
                else:
                    self._completed += 1
            if refused is not None:
                raise refused

    def answer(self) -> None:
        self.rows("SELECT 1")

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        return [CatalogRow(*row) for row in self.rows(_CATALOG, [name.lower() for name in names])]

    def versions(self) -> object:
        return versions(self.rows, '"')

    def ask(self, query: str) -> Answer:
        with explained("unless"):
            self.execute("BEGIN READ ONLY")
            try:
                return self._guard(query)
            finally:
                with suppress(Exception):  # If the connection is gone, so is the transaction.
                    self.execute("ROLLBACK")

    def run(self, script: Script, unless: str | None) -> None:
        import psycopg  # noqa: PLC0415 - heavy

        bare = script.without_own_transaction()
        self.log_notices()
        with explained(script.name):
            self.execute("BEGIN")
            # From now on a statement ends if its client is gone (since PostgreSQL 14).
            self._query(_END_WITH_CLIENT)
            if self.session_lock is not None:
                self._query(_MARK, self.session_lock.key)
            try:
                self.execute(bare.text)
            except psycopg.Error as error:
                place = script.name
                if error.sqlstate is not None and verdict(error.sqlstate) != "lost":
                    position = error.diag.statement_position
                    place = bare.nth(self._completed + 1) if position is None else bare.place(int(position) - 1)
                raise statement_error(place, error) from error
            if self.raw.info.transaction_status.name == "IDLE":
                self.log(f"{script.name} ends the transaction itself: what it committed cannot be rolled back")
            if unless is not None:
                require(self._guard(unless))
            self.execute("COMMIT")

    def hand_over(self, context: StepContext) -> bool:
        # Whatever the server sends to an idle session, such as its end, makes it one not to rely on.
        poller = select.poll()
        poller.register(self.raw.fileno(), select.POLLIN)
        if self.raw.info.transaction_status.name != "IDLE" or poller.poll(0):
            return False
        self.log = context.log
        self._socket.rebind(context)
        return True

    def close(self) -> None:
        """Close the connection, which rolls back an open transaction."""
        self.raw.close()
        self._socket.close()

    def _guard(self, query: str) -> Answer:
        import psycopg  # noqa: PLC0415 - heavy

        try:
            return judged(self._query(query))
        except psycopg.ProgrammingError as error:
            if error.sqlstate is None:
                raise no_query() from error
            if error.sqlstate in _UNDEFINED:
                return Answer(False, error=error.diag.message_primary or "")
            raise

    def _query(self, query: str, *parameters: object, seconds: float | None = None) -> list[Row]:
        with self._socket.bounded(seconds, self._cancel), self.raw.cursor() as cursor:
            cursor.execute(query.encode(), parameters or None)
            return cursor.fetchall()

    def _cancel(self) -> None:
        """Cancel the statement on the server."""
        import psycopg  # noqa: PLC0415 - heavy

        if psycopg.capabilities.has_cancel_safe():
            self.raw.cancel_safe(timeout=CANCEL_WITHIN)
            return
        # The older `cancel` blocks every thread until the server answers.
        own = self.raw.info
        with psycopg.connect(own.dsn, password=own.password, connect_timeout=2) as other:
            other.execute("SELECT pg_catalog.pg_cancel_backend(%s)", [own.backend_pid])


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn errors of psycopg into `NotYet` and `StepFailed`; `where` is the server or script, for messages."""
    import psycopg  # noqa: PLC0415 - heavy

    try:
        yield
    except psycopg.Error as error:
        raise statement_error(where, error) from error


def end_session(session: Mapping[str, Any], until: float) -> None:
    """Terminate a session and wait for its end; see `inithold.steps.database.driver.end_sessions`."""
    which = (session["backend"], session["since"])
    with closing(connect(parse(session["url"], ["postgresql"]), Until(until))) as connection:
        while connection.rows(_END_SESSION, *which, seconds=max(0.01, until - time.monotonic())):
            time.sleep(0.05)
