"""PostgreSQL: connecting, with a clear line between "not yet" and "never", and what steps ask of it.

The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from inithold.errors import NotYet, StepError, StepFailed
from inithold.net.bounds import Bounds
from inithold.net.dial import dial
from inithold.process.imports import IMPORTING
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.database.conninfo import SILENCE, Place, parameters, places
from inithold.steps.database.driver import ANSWER_WITHIN, Answer, CatalogRow
from inithold.steps.database.guard import not_established
from inithold.steps.database.script import Script
from inithold.steps.postgres.verdicts import connect_error

if TYPE_CHECKING:
    from inithold.steps.postgres.libpq import Connection
    from inithold.steps.postgres.libpq_errors import ServerError

_LOST = re.compile(r"08...|57P0[1235]|25P03")
# Running: a lock not free, a deadlock or a conflict with somebody else's transaction.
_CONFLICT = re.compile(r"40...|55P03|53[03]00")
_UNDEFINED = ("42P01", "3F000", "42703", "42883")


@cache
def preload() -> None:
    """Import psycopg."""
    with IMPORTING:
        from inithold.steps.postgres import libpq  # noqa: F401, PLC0415 - imports psycopg


def connect(
    address: Address, bounds: Bounds, *, application_name: str = "inithold", silence: int = SILENCE
) -> Connection:
    """Connect to the first of the address's hosts that lets us in.

    Args:
        address: of technology `postgresql`; parameters of libpq in its query are handed on.
        bounds: end the attempt early.
        application_name: how the server's own views name us, unless the address says otherwise.
        silence: seconds without a sign of life after which the connection counts as lost.

    Raises:
        NotYet: not up yet, in any of the ways in which a server can be.
        Rejected: the password, role or database is refused.
        StepFailed: TLS, a parameter or whatever answers there is not right.
        Interrupted: told to stop.
    """
    given = parameters(address, application_name, silence)
    seen: list[NotYet] = []
    for place in places(given):
        try:
            return _connect(given, place, bounds)
        except NotYet as error:
            seen.append(error)
    if len(seen) == 1:
        raise seen[0]
    raise NotYet("; ".join(error.message for error in seen), hint=seen[-1].hint) from seen[-1]


def _connect(given: Mapping[str, str], place: Place, bounds: Bounds) -> Connection:
    accepted: dict[str, str] = {}
    if place.target is not None:
        # Resolving and refusing are told apart here, before anything heavy is imported.
        accepted["hostaddr"] = dial(*place.target, timeout=bounds.remaining(5.0))
    bounds.check_cancelled()
    preload()
    from inithold.steps.postgres.libpq import Connection  # noqa: PLC0415 - heavy
    from inithold.steps.postgres.libpq_errors import ConnectFailed, NoAnswer  # noqa: PLC0415 - heavy

    seconds = bounds.remaining(_connect_timeout(given))
    wanted = {**given, **place.parameters, **accepted}
    try:
        return Connection.open(wanted, bounds, seconds=seconds, where=place.shown)
    except NoAnswer as error:
        raise NotYet(f"{place.shown}: accepts connections but does not answer ({seconds:.3g} s)") from error
    except ConnectFailed as error:
        raise connect_error(place.shown, error) from error


def _connect_timeout(given: Mapping[str, str]) -> float:
    with suppress(KeyError, ValueError):
        seconds = float(given["connect_timeout"])
        # libpq: zero, negative or absent is for ever; two seconds are the least.
        return max(seconds, 2.0) if seconds > 0 else ANSWER_WITHIN
    return ANSWER_WITHIN


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what goes wrong on a connection into `NotYet` and `StepFailed`.

    Args:
        where: the server, for people; or the script.
    """
    from inithold.steps.postgres.libpq_errors import (  # noqa: PLC0415 - heavy
        ConnectionLost,
        CopyAsked,
        NoAnswer,
        ServerError,
    )

    try:
        yield
    except ServerError as error:
        raise statement_error(where, error) from error
    except ConnectionLost as error:
        raise NotYet(f"{where}: connection lost: {error}") from error
    except NoAnswer as error:
        raise NotYet(f"{where}: does not answer") from error
    except CopyAsked as error:
        raise StepFailed(
            f"{where}: COPY from or to the client", hint="run it with psql, in a command.run step"
        ) from error


def statement_error(where: str, error: ServerError) -> StepError:
    """What a refused statement means.

    Args:
        where: what begins the message: a server, a place in a script.
        error: the server's refusal.
    """
    message = f"{where}: {error.message}"
    if _LOST.fullmatch(error.sqlstate):
        return NotYet(f"{where}: connection lost: {error.message}")
    if _CONFLICT.fullmatch(error.sqlstate):
        return NotYet(message)
    hint = error.hint or None
    if error.sqlstate == "25001":
        hint = "the statements run in one transaction: run this one with psql, in a command.run step"
    return StepFailed(f"{message}\n{error.detail}" if error.detail else message, hint=hint)


_CATALOG = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND lower(c.relname) IN (SELECT lower(name) FROM pg_catalog.json_array_elements_text($1::json) AS name)
"""


class _Session:
    folds_tables = False
    folds_columns = False

    def __init__(self, connection: Connection, log: Callable[[str], object]) -> None:
        self._connection = connection
        self._where = connection.where
        self._log = log

    def answer(self) -> None:
        with explained(self._where):
            self._connection.rows("SELECT 1", seconds=ANSWER_WITHIN)

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        with explained(self._where):
            rows = self._connection.rows(_CATALOG, json.dumps(list(names)), seconds=ANSWER_WITHIN)
        return [CatalogRow(schema or "", table or "", seen == "t", column) for schema, table, seen, column in rows]

    def ask(self, query: str) -> Answer:
        from inithold.steps.postgres.libpq_errors import ServerError  # noqa: PLC0415 - heavy

        with explained("unless"):
            self._connection.run("BEGIN READ ONLY")
            try:
                return Answer(bool(self._connection.rows(query)))
            except ServerError as error:
                if error.sqlstate in _UNDEFINED:
                    return Answer(False, error.message)
                raise
            finally:
                with suppress(Exception):  # where the connection is gone, so is the transaction
                    self._connection.run("ROLLBACK")

    def run(self, script: Script, unless: str | None) -> None:
        from inithold.steps.postgres.libpq_errors import ServerError  # noqa: PLC0415 - heavy

        self._connection.on_notice(self._log)
        bare = script.without_own_transaction()
        with explained(script.name):
            self._connection.run("BEGIN")
            try:
                self._connection.run(bare.text)
            except ServerError as error:
                raise statement_error(_place(bare, error), error) from error
            if not self._connection.in_transaction:
                self._log(f"{script.name} ends the transaction itself: what it committed cannot be rolled back")
            self._verify(unless)
            self._connection.run("COMMIT")

    def _verify(self, unless: str | None) -> None:
        if unless is None:
            return
        from inithold.steps.postgres.libpq_errors import ServerError  # noqa: PLC0415 - heavy

        try:
            if self._connection.rows(unless):
                return
            seen = "returns no row"
        except ServerError as error:
            seen = f"cannot be asked: {error.message}"
        raise not_established(seen)

    def close(self) -> None:
        self._connection.close()


def _place(script: Script, error: ServerError) -> str:
    if error.position is not None:
        return script.place(error.position - 1)
    return script.nth(error.completed + 1)


def open_session(address: Address, context: StepContext, *, create: bool) -> _Session:  # noqa: ARG001 - for SQLite
    """Connect for a step; see `inithold.steps.database.driver.session`."""
    return _Session(connect(address, context), context.log)
