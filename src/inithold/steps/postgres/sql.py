"""SQL of PostgreSQL: names, texts, and statements that are still to be run."""

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
"""Bytes of a name; PostgreSQL cuts what is longer, so that it would never be found again."""
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
    """A name in SQL: nothing in it is folded or read as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL, read alike with and without `standard_conforming_strings`."""
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{doubled}'" if "\\" in text else f"'{doubled}'"


def shown(name: str) -> str:
    """A name for people: as it is where that is plain, else as SQL would need it."""
    return name if _PLAIN.fullmatch(name) else quoted(name)


def fault(name: str) -> str | None:
    """What keeps a text from being a name; None where it is one."""
    if not name.strip():
        return "a name is empty"
    if "\0" in name:
        return "a name cannot hold a NUL character"
    length = len(name.encode())
    return f"{name!r} is too long: {length} bytes, and PostgreSQL keeps {LONGEST}" if length > LONGEST else None


class Need(NamedTuple):
    """A statement that is still to be run.

    Attributes:
        change: what it does, as people see it.
        statement: the SQL; empty where it cannot be run yet.
        blocked: why it cannot, such as a table that does not exist; else empty.
    """

    change: Change
    statement: str
    blocked: str = ""

    def run(self, connection: Connection, hints: Mapping[str, str] | None = None) -> None:
        """Run it.

        Args:
            connection: to the database.
            hints: by the server's code, what to do where it is refused, instead of what the server says.

        Raises:
            NotYet: somebody else is doing the same at this moment, or the connection is lost.
            StepFailed: it is refused.
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
