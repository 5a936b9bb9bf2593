"""Connections to PostgreSQL through psycopg's documented low-level interface, `psycopg.pq`.

It gives what psycopg's own `Connection` does not:

- A connection that fails says why by SQLSTATE (see `libpq_errors`).
- Every wait ends when the step is told to stop, also while connecting.
- How many statements of a script the server has run is known.

Importing this module imports psycopg.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self, TypeVar

# The package before its modules: where two threads import a part of it at once, one would see it half made.
import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from inithold.errors import Interrupted
from inithold.net.bounds import Bounds
from inithold.steps.postgres.libpq_calls import request_cancel, say_codes
from inithold.steps.postgres.libpq_errors import (
    ConnectionLost,
    CopyAsked,
    NoAnswer,
    connect_failed,
    field,
    raise_refused,
    said,
    text,
)

TICK = 0.1
"""Seconds between two looks at whether to stop."""
CANCEL_WITHIN = 0.4
"""Seconds a server gets to end a statement that is cancelled, before the connection is closed under it."""
Row = tuple[str | None, ...]
T = TypeVar("T")


class Connection:
    """A connection whose every wait is bounded. Use from one thread at a time; `close` from any.

    Args:
        handle: libpq's connection, connected.
        bounds: ends the waits.
        where: the server, for people.
    """

    def __init__(self, handle: pq.abc.PGconn, bounds: Bounds, where: str) -> None:
        self.where = where
        self._handle = handle
        self._bounds = bounds
        handle.nonblocking = 1

    @classmethod
    def open(cls, parameters: Mapping[str, str], bounds: Bounds, *, seconds: float, where: str) -> Self:
        """Connect.

        Args:
            parameters: of libpq.
            bounds: ends the wait.
            seconds: the most it may take.
            where: the server, for people.

        Raises:
            ConnectFailed: it was refused, by whomever.
            NoAnswer: nobody answered in time.
        """
        handle = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
        say_codes(handle)
        ends_at = time.monotonic() + seconds
        try:
            while handle.status != pq.ConnStatus.BAD:
                state = handle.connect_poll()
                if state == pq.PollingStatus.OK:
                    return cls(handle, bounds, where)
                if state == pq.PollingStatus.FAILED:
                    break
                reading = state == pq.PollingStatus.READING
                _wait(handle.socket, select.POLLIN if reading else select.POLLOUT, bounds, ends_at)
        except BaseException:
            handle.finish()
            raise
        raise connect_failed(handle)

    @property
    def backend_pid(self) -> int:
        """The process of the server, as it said when connecting."""
        return self._handle.backend_pid

    @property
    def used_password(self) -> bool:
        """Whether the server asked for the password when connecting."""
        return bool(self._handle.used_password)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._handle.transaction_status != pq.TransactionStatus.IDLE

    def fileno(self) -> int:
        """The socket."""
        return self._handle.socket

    def on_notice(self, say: Callable[[str], object]) -> None:
        """Call `say` with each notice of the server, such as `WARNING: ...`."""

        def received(result: pq.abc.PGresult) -> None:
            severity = field(result, pq.DiagnosticField.SEVERITY)
            say(f"{severity}: {field(result, pq.DiagnosticField.MESSAGE_PRIMARY)}")

        self._handle.notice_handler = received

    def rows(self, query: str, *parameters: str | int, seconds: float | None = None) -> list[Row]:
        """Run one query and return its rows as text.

        Args:
            query: with `$1`, `$2` for the parameters.
            parameters: sent apart from the query.
            seconds: the most it may take; None for no bound of its own.

        Raises:
            ServerError, ConnectionLost, NoAnswer, Interrupted
        """
        values = [str(value).encode() for value in parameters]
        results = self._results(lambda: self._handle.send_query_params(query.encode(), values), seconds)
        last = results[-1]
        return [tuple(text(last.get_value(row, at)) for at in range(last.nfields)) for row in range(last.ntuples)]

    def run(self, statements: str) -> int:
        """Run statements, in one message; returns how many there were.

        Raises:
            ServerError, ConnectionLost, CopyAsked, Interrupted
        """
        return len(self._results(lambda: self._handle.send_query(statements.encode()), None))

    def send(self, query: str) -> None:
        """Send a query without waiting for its answer; `arrived` takes it."""
        self._guarded(lambda: self._handle.send_query(query.encode()))

    def arrived(self, seconds: float) -> list[Row] | None:
        """The rows of the query sent before, or None where they are not there in time."""
        ends_at = time.monotonic() + seconds
        try:
            results = self._guarded(lambda: self._receive(ends_at))
        except NoAnswer:
            return None
        return [tuple(text(result.get_value(0, at)) for at in range(result.nfields)) for result in results]

    def hear(self) -> None:
        """Take in what the server sent unasked.

        Raises:
            ConnectionLost: that it ends the connection, or nothing any more.
        """
        self._guarded(self._handle.consume_input)

    def close(self) -> None:
        """Hang up; what is not committed is rolled back."""
        self._handle.finish()

    # -- sending and receiving

    def _results(self, send: Callable[[], None], seconds: float | None) -> list[pq.abc.PGresult]:
        ends_at = None if seconds is None else time.monotonic() + self._bounds.remaining(seconds)
        try:
            self._guarded(send)
            results = self._guarded(lambda: self._receive(ends_at))
        except Interrupted:
            self._interrupt()
            raise
        except (ConnectionLost, CopyAsked, NoAnswer):
            self.close()
            raise
        raise_refused(results)
        return results

    def _receive(self, ends_at: float | None, bounds: Bounds | None = None) -> list[pq.abc.PGresult]:
        handle, bounds = self._handle, bounds or self._bounds
        while handle.flush() != 0:
            _wait(handle.socket, select.POLLIN | select.POLLOUT, bounds, ends_at)
            handle.consume_input()
        results: list[pq.abc.PGresult] = []
        while True:
            while handle.is_busy():
                _wait(handle.socket, select.POLLIN, bounds, ends_at)
                handle.consume_input()
            if (result := handle.get_result()) is None:
                return results
            if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH):
                raise CopyAsked
            results.append(result)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except psycopg.Error as error:
            raise ConnectionLost(said(self._words() or str(error)).words) from error

    def _words(self) -> str:
        return text(self._handle.error_message) or ""

    def _interrupt(self) -> None:
        """End the statement on the server; where that fails, closing the connection rolls it back."""
        ends_at = time.monotonic() + CANCEL_WITHIN
        with suppress(psycopg.Error, NoAnswer):
            request_cancel(self._handle, lambda fd, events: _wait(fd, events, _Unstoppable(), ends_at))
            self._receive(ends_at, _Unstoppable())
        self.close()


class _Unstoppable:
    """Bounds of what is done after being told to stop."""

    def remaining(self, most: float) -> float:
        return most

    def check_cancelled(self) -> None:
        return

    def on_cancel(self, action: Callable[[], object]) -> Any:
        raise NotImplementedError


def _wait(fd: int, events: int, bounds: Bounds, ends_at: float | None) -> None:
    poller = select.poll()
    poller.register(fd, events)
    while True:
        bounds.check_cancelled()
        seconds = TICK if ends_at is None else min(TICK, ends_at - time.monotonic())
        if seconds <= 0:
            raise NoAnswer
        if poller.poll(seconds * 1000):
            return
