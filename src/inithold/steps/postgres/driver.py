"""PostgreSQL, as the kinds for any database ask it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.database.driver import ANSWER_WITHIN, CatalogRow
from inithold.steps.database.guard import Answer, judged, no_query, require
from inithold.steps.database.script import Script
from inithold.steps.postgres.connection import Connection, connect, explained, preload
from inithold.steps.postgres.verdicts import statement_error, verdict

if TYPE_CHECKING:
    import psycopg

__all__ = ["open_session", "preload"]

_UNDEFINED = ("42P01", "3F000", "42703", "42883")

_CATALOG = """
SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), a.attname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND lower(c.relname) = ANY ($1::text[])
"""


class _Session:
    folds_tables = False
    folds_columns = False

    def __init__(self, connection: Connection, log: Callable[[str], None]) -> None:
        self._connection = connection
        self._where = connection.where
        self._log = log

    def answer(self) -> None:
        with explained(self._where):
            self._connection.rows("SELECT 1", seconds=ANSWER_WITHIN)

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        with explained(self._where):
            rows = self._connection.rows(_CATALOG, [name.lower() for name in names], seconds=ANSWER_WITHIN)
        return [CatalogRow(*row) for row in rows]

    def ask(self, query: str) -> Answer:
        with explained("unless"):
            self._connection.run("BEGIN READ ONLY")
            try:
                return self._guard(query)
            finally:
                with suppress(Exception):  # where the connection is gone, so is the transaction
                    self._connection.run("ROLLBACK")

    def run(self, script: Script, unless: str | None) -> None:
        import psycopg  # noqa: PLC0415 - heavy

        self._connection.on_notice(self._log)
        bare = script.without_own_transaction()
        with explained(script.name):
            self._connection.run("BEGIN")
            self._connection.end_with_client()
            try:
                self._connection.run(bare.text)
            except psycopg.Error as error:
                raise statement_error(self._place(bare, error), error) from error
            if not self._connection.in_transaction:
                self._log(f"{script.name} ends the transaction itself: what it committed cannot be rolled back")
            if unless is not None:
                require(self._guard(unless))
            self._connection.run("COMMIT")

    def _place(self, script: Script, error: psycopg.Error) -> str:
        if error.sqlstate is None or verdict(error.sqlstate) == "lost":
            return script.name
        if (position := error.diag.statement_position) is not None:
            return script.place(int(position) - 1)
        return script.nth(self._connection.completed + 1)

    def _guard(self, query: str) -> Answer:
        import psycopg  # noqa: PLC0415 - heavy

        try:
            return judged(self._connection.rows(query))
        except psycopg.ProgrammingError as error:
            if error.sqlstate is None:
                raise no_query() from error
            if error.sqlstate in _UNDEFINED:
                return Answer(False, error=error.diag.message_primary or "")
            raise

    def close(self) -> None:
        self._connection.close()


def open_session(address: Address, context: StepContext, *, create: bool) -> _Session:  # noqa: ARG001 - for SQLite
    """Connect for a step; see `inithold.steps.database.driver.session`."""
    return _Session(connect(address, context), context.log)
