"""SQL for PostgreSQL: names, literals, and statements that are needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from inithold.errors import NotYet
from inithold.steps.base import Change
from inithold.steps.postgres.verdicts import statement_error

if TYPE_CHECKING:
    from inithold.steps.postgres.connection import Connection

LONGEST = 63
"""Maximum bytes of a name; PostgreSQL truncates longer ones, which would then never be found."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
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


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL, whether `standard_conforming_strings` is on or off."""
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{doubled}'" if "\\" in text else f"'{doubled}'"


def shown(name: str) -> str:
    """Return a name for messages, quoted if SQL needs it."""
    return name if _PLAIN.fullmatch(name) else quoted(name)


def fault(name: str) -> str | None:
    """Return why a text cannot be a name, or None."""
    if not name.strip():
        return "a name is empty"
    if "\0" in name:
        return "a name cannot hold a NUL character"
    length = len(name.encode())
    return f"{name!r} is too long: {length} bytes, and PostgreSQL keeps {LONGEST}" if length > LONGEST else None


class Need(NamedTuple):
    """A statement that has to be run.

    Attributes:
        change: what it does, for users.
        statement: the SQL; empty if it cannot be run yet.
        blocked: why it cannot, such as a missing table; else empty.
    """

    change: Change
    statement: str
    blocked: str = ""

    def run(self, connection: Connection, hints: Mapping[str, str] | None = None) -> None:
        """Run it; `hints` are by SQLSTATE, instead of the server's own.

        Raises:
            NotYet: something else does the same at this moment, or the connection is lost.
            StepFailed: it fails.
        """
        import psycopg  # noqa: PLC0415 - heavy

        label = self.change.what
        try:
            connection.execute(self.statement)
        except psycopg.Error as error:
            code = error.sqlstate or ""
            if code in _MADE_MEANWHILE:
                raise NotYet(f"{label}: something else created it at the same moment") from error
            if code == _IN_USE:
                hint = "end the other connections to the template"
                raise NotYet(f"{label}: {error.diag.message_primary}", hint=hint) from error
            refused = statement_error(label, error)
            refused.hint = (hints or {}).get(code) or refused.hint or _HINTS.get(code)
            raise refused from error
