"""Connections to PostgreSQL, by psycopg: every wait is bounded, every failure is "not yet" or "never"."""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from inithold.errors import NotYet
from inithold.net.bounded_socket import CANCEL_WITHIN, BoundedSocket
from inithold.net.bounds import Bounds
from inithold.net.dial import dial
from inithold.process.imports import IMPORTING
from inithold.steps.address import Address
from inithold.steps.database.driver import ANSWER_WITHIN
from inithold.steps.postgres.conninfo import SILENCE, Place, parameters, places
from inithold.steps.postgres.verdicts import connect_error, statement_error

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]
# Zero is where it is off; elsewhere it is as somebody wanted it. Not every system of the server can tell.
_END_WITH_CLIENT = """
SELECT pg_catalog.set_config(name, '1s', true) FROM pg_catalog.pg_settings
WHERE name = 'client_connection_check_interval' AND setting = '0' AND pg_catalog.version() ~ 'linux'
"""


@cache
def preload() -> None:
    """Import psycopg."""
    with IMPORTING:
        import psycopg  # noqa: F401, PLC0415 - heavy


def connect(
    address: Address, bounds: Bounds, *, application_name: str = "inithold", silence: int = SILENCE
) -> Connection:
    """Connect to the first of the address's hosts that lets us in.

    Args:
        address: of technology `postgresql`; parameters of libpq in its query are passed on.
        bounds: of the step.
        application_name: how the server's own views name us, unless the address says otherwise.
        silence: seconds without a sign of life after which the connection counts as lost.

    Raises:
        NotYet: not up yet, in any of the ways in which a server can be.
        Rejected: the password, role or database is refused.
        StepFailed: TLS, a parameter or whatever answers there is not right.
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
        # Resolving and refusing are told apart here, before anything heavy is imported.
        accepted["hostaddr"] = dial(*place.target, timeout=bounds.remaining(5.0))
    bounds.check_cancelled()
    preload()
    import psycopg  # noqa: PLC0415 - heavy

    most = ANSWER_WITHIN
    with suppress(KeyError, ValueError):
        # libpq: zero, negative or absent is forever.
        most = float(given["connect_timeout"]) if float(given["connect_timeout"]) > 0 else most
    seconds = max(2, math.ceil(bounds.remaining(most)))  # two are psycopg's least
    options: dict[str, Any] = {**given, **place.parameters, **accepted, "connect_timeout": seconds}
    try:
        raw = psycopg.connect(
            # No prepared statements: a proxy may give each transaction another server.
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
    """A connection to PostgreSQL; each statement commits by itself, unless a transaction is begun.

    Where the step is told to stop, the statement is cancelled on the server. Use it from one thread at a time.

    Args:
        raw: psycopg's, in autocommit mode, with cursors that take `$1`.
        bounds: of the step.
        where: the server, for people.
    """

    def __init__(self, raw: psycopg.Connection[Row], bounds: Bounds, where: str) -> None:
        self.raw = raw
        self.where = where
        self.completed = 0
        """How many statements of the last `run` were run."""
        self._socket = BoundedSocket(raw.fileno(), bounds, where)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.info.transaction_status.name != "IDLE"

    def on_notice(self, log: Callable[[str], None]) -> None:
        """Call `log` with each notice of the server, such as `WARNING: ...`."""
        self.raw.add_notice_handler(lambda notice: log(f"{notice.severity}: {notice.message_primary}"))

    def end_with_client(self) -> None:
        """In the current transaction, end a statement whose client is gone; PostgreSQL 14 and newer can."""
        self.rows(_END_WITH_CLIENT)

    def rows(self, query: str, *parameters: object, seconds: float | None = None) -> list[Row]:
        """Run one query and return its rows.

        Args:
            query: with `$1`, `$2` for the parameters.
            parameters: sent apart from the query.
            seconds: the most it may take, after which the connection is shut down; None for no bound.

        Raises:
            psycopg.Error: it is refused, or the connection is lost.
            NotYet: there is no answer in time.
            Interrupted: the step was told to stop.
        """
        with self._socket.bounded(seconds, self._cancel), self.raw.cursor() as cursor:
            cursor.execute(query.encode(), parameters or None)
            return cursor.fetchall()

    def run(self, statements: str) -> None:
        """Run statements, in one message; `completed` then says how many.

        Raises:
            psycopg.Error: one is refused, or the connection is lost.
            Interrupted: the step was told to stop.
        """
        from psycopg import ProgrammingError, errors, pq  # noqa: PLC0415 - heavy

        copying = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)
        self.completed = 0
        # A cursor would not tell which of the statements is refused.
        with self._socket.bounded(None, self._cancel):
            self.raw.pgconn.send_query(statements.encode())
            refused: psycopg.Error | None = None
            for result in self._results():
                if result.status in copying:
                    raise ProgrammingError("COPY from or to the client")
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    refused = errors.error_from_result(result)
                else:
                    self.completed += 1
            if refused is not None:
                raise refused

    def close(self) -> None:
        """Hang up; what is not committed is rolled back."""
        self.raw.close()
        self._socket.close()

    def _results(self) -> Iterator[psycopg.pq.abc.PGresult]:
        """What comes back for a message, without keeping other threads from running."""
        handle, poller = self.raw.pgconn, select.poll()
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
                return
            yield result

    def _cancel(self) -> None:
        """End the statement on the server."""
        import psycopg  # noqa: PLC0415 - heavy

        if psycopg.capabilities.has_cancel_safe():
            self.raw.cancel_safe(timeout=CANCEL_WITHIN)
            return
        # The older way keeps every thread from running until the server answers.
        own = self.raw.info
        with psycopg.connect(own.dsn, password=own.password, connect_timeout=2) as other:
            other.execute("SELECT pg_catalog.pg_cancel_backend(%s)", [own.backend_pid])


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what goes wrong on a connection into `NotYet` and `StepFailed`.

    Args:
        where: the server, for people; or the script.
    """
    import psycopg  # noqa: PLC0415 - heavy

    try:
        yield
    except psycopg.Error as error:
        raise statement_error(where, error) from error
