"""A connection for one check or one apply, and what it means where the server refuses a statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from inithold.errors import NotYet, StepError
from inithold.steps.address import Address
from inithold.steps.base import Change, StepContext
from inithold.steps.database.driver import ANSWER_WITHIN
from inithold.steps.postgres.connection import Connection, Row, connect, explained
from inithold.steps.postgres.verdicts import statement_error

if TYPE_CHECKING:
    import psycopg

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_MADE_MEANWHILE = ("42P04", "42710", "23505")
_IN_USE = "55006"
_HINTS = {
    "42704": "have it made by a step before this one",
    "3F000": "have the schema made by a step before this one",
    "42501": "the user of url may not do that: connect as one that may, or as a superuser",
    "0LP01": "a role cannot be a member of one that is a member of it",
    "25006": "this server only reads: give the address of the primary",
}


class Need(NamedTuple):
    """One thing that is still to be done.

    Attributes:
        change: as people see it.
        statement: the SQL that does it; empty where it cannot be done yet.
        blocked: why it cannot be done, such as a table that does not exist; else empty.
    """

    change: Change
    statement: str
    blocked: str = ""


class Session:
    """What the kinds ask of a connection.

    Args:
        connection: open.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """The rows of a question about the catalogs."""
        with explained(self._connection.where):
            return self._connection.rows(query, *parameters, seconds=ANSWER_WITHIN)

    def pairs(self, query: str, *parameters: object) -> dict[str, Any]:
        """The answer to a question for two columns, the first of which is a name."""
        return dict(self.rows(query, *parameters))

    def verifier(self, password: str) -> str:
        """A password as PostgreSQL stores it, made on this side: no statement that a server may log has it."""
        handle = self._connection.raw.pgconn
        return handle.encrypt_password(password.encode(), b"", b"scram-sha-256").decode()

    def run(self, statement: str, label: str, hints: Mapping[str, str] | None = None) -> None:
        """Run one statement.

        Args:
            statement: SQL.
            label: what begins the message where it is refused.
            hints: by the server's code, what to do where it is refused, instead of what the server says.

        Raises:
            NotYet: somebody else is doing the same at this moment, or the connection is lost.
            StepFailed: it is refused.
        """
        import psycopg  # noqa: PLC0415 - heavy

        with explained(label):
            try:
                self._connection.run(statement)
            except psycopg.Error as error:
                raise _refused(label, error, hints or {}) from error


@contextmanager
def session(address: Address, context: StepContext, *, tell: bool = False) -> Iterator[Session]:
    """Connect, and hang up at the end; what is not committed is rolled back.

    Args:
        address: of the database.
        context: of the step.
        tell: whether the server's notices go into the log.
    """
    connection = connect(address, context)
    try:
        if tell:
            connection.on_notice(context.log)
        yield Session(connection)
    finally:
        connection.close()


def _refused(label: str, error: psycopg.Error, hints: Mapping[str, str]) -> StepError:
    if error.sqlstate in _MADE_MEANWHILE:
        return NotYet(f"{label}: somebody else has made it at the same moment")
    if error.sqlstate == _IN_USE:
        message = f"{label}: {error.diag.message_primary}"
        return NotYet(message, hint="end the other connections to the template")
    refused = statement_error(label, error)
    code = error.sqlstate or ""
    refused.hint = hints.get(code) or refused.hint or _HINTS.get(code)
    return refused
