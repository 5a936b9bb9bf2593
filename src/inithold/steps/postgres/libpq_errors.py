"""What libpq and the server say when something fails, with the SQLSTATE wherever there is one.

psycopg raises a connection that fails as a text in the server's language and nothing else. `libpq_calls.say_codes`
has libpq write the code into that text, and here it is taken out again.

Importing this module imports psycopg.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from psycopg import pq

# How libpq writes `FATAL:  28P01: password authentication failed`, whatever the language of the first word.
_CODED = re.compile(r":  (?P<sqlstate>[0-9A-Z]{5}): (?P<words>[^\n]*)")
_PREFIX = re.compile(r"\Aconnection (?:to server .*? )?failed: |\Aconnection is bad: ", re.IGNORECASE)
_SEVERITY = re.compile(r"\A(?:FATAL|ERROR|PANIC):\s+")


class ConnectFailed(Exception):
    """No connection came about.

    Args:
        words: what libpq or the server says, one line.
        sqlstate: the server's code, None where the server said nothing.
        needs_password: it asked for a password and there was none.
        reached: whether it got as far as the network; otherwise a parameter is wrong.
    """

    def __init__(self, words: str, *, sqlstate: str | None, needs_password: bool, reached: bool) -> None:
        super().__init__(words)
        self.words = words
        self.sqlstate = sqlstate
        self.needs_password = needs_password
        self.reached = reached


class ConnectionLost(Exception):
    """The connection is gone; the text says what libpq or the server said last."""


class NoAnswer(Exception):
    """The server did not answer in time; the connection is closed."""


class ServerError(Exception):
    """The server refuses a statement.

    Args:
        sqlstate: its code.
        message: its words.
        detail: its further words, or empty.
        hint: its advice, or empty.
        position: 1-based character of the text where it is, None where the server does not say.
        completed: how many statements of the text had been run before.
    """

    def __init__(
        self, sqlstate: str, message: str, *, detail: str, hint: str, position: int | None, completed: int
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.completed = completed


class CopyAsked(Exception):
    """A statement copies from or to the client; the connection is closed."""


class Said(NamedTuple):
    """What is in an error text of libpq."""

    words: str
    sqlstate: str | None


def connect_failed(handle: pq.abc.PGconn) -> ConnectFailed:
    """Why a connection attempt failed; the handle is finished."""
    message = text(handle.error_message) or ""
    seen = said(message)
    where = [text(part) for part in (handle.hostaddr, handle.host) if part] or [".s.PGSQL."]
    failed = ConnectFailed(
        seen.words,
        sqlstate=seen.sqlstate,
        needs_password=bool(handle.needs_password),
        # libpq names the place in each error that has to do with it, in every language.
        reached=seen.sqlstate is not None or any(place in message for place in [*where, ".s.PGSQL."] if place),
    )
    handle.finish()
    return failed


_RANK = ("28P01", "3D000", "28000")
"""Of several answers (with TLS and without) the one that tells most."""


def said(message: str) -> Said:
    """Take an error text of libpq apart: the first line that matters, without what is around it."""
    coded = [Said(found["words"], found["sqlstate"]) for found in _CODED.finditer(message)]
    if coded:
        return min(coded, key=lambda one: _RANK.index(one.sqlstate) if one.sqlstate in _RANK else -1)
    first = message.strip().partition("\n")[0]
    return Said(_SEVERITY.sub("", _PREFIX.sub("", first)) or "no reason given", None)


def raise_refused(results: Sequence[pq.abc.PGresult]) -> None:
    """Raise where a statement was refused (`ServerError`) or the connection is gone (`ConnectionLost`)."""
    for number, result in enumerate(results):
        if result.status != pq.ExecStatus.FATAL_ERROR:
            continue
        sqlstate = field(result, pq.DiagnosticField.SQLSTATE)
        if not sqlstate:
            # libpq itself says so: the server cannot, it is gone.
            raise ConnectionLost(said(text(result.error_message) or "").words)
        position = field(result, pq.DiagnosticField.STATEMENT_POSITION)
        raise ServerError(
            sqlstate,
            field(result, pq.DiagnosticField.MESSAGE_PRIMARY),
            detail=field(result, pq.DiagnosticField.MESSAGE_DETAIL),
            hint=field(result, pq.DiagnosticField.MESSAGE_HINT),
            position=int(position) if position else None,
            completed=number,
        )


def field(result: pq.abc.PGresult, which: pq.DiagnosticField) -> str:
    """A field of an error or a notice, empty where it has none."""
    return text(result.error_field(which)) or ""


def text(value: bytes | None) -> str | None:
    """What the server sent, as text."""
    # Before the client's encoding is agreed on, a server speaks in its own.
    return None if value is None else value.decode(errors="replace")
