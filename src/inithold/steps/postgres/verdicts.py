"""Decides whether an error of PostgreSQL means "not yet" or "never".

The only table of its codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from inithold.errors import NotYet, Rejected, StepError, StepFailed

if TYPE_CHECKING:
    import psycopg

Verdict = Literal["lost", "not yet", "rejected", "never"]
# Connection exceptions; sessions ended by an administrator, a crash, an idle timeout or a dropped database.
_LOST = re.compile(r"08...|57P0[12345]|25P03")
# Temporary: a conflict with another transaction (except 40002, a violated constraint), lack of resources, a lock
# that is not free, an I/O or system error on the server.
_NOT_YET = re.compile(r"40(?!002)...|53...|55P03|58000|58030")
_REJECTED = {
    "28P01": "check user and password; where the server creates its user late, a database.ready "
    "with retry_auth: true waits",
    "28000": "check the user, and the server's pg_hba.conf",
    "3D000": "check the name of the database, or have it created first",
}
_NO_CONNECT = {"42501": "grant the user CONNECT on the database"}
# PgBouncer uses 08P01 for nearly everything.
_PGBOUNCER_NEVER = re.compile(r"no such (?:database|user)|unsupported startup|SSL required|auth|not allowed", re.I)
_PROXY_HINT = "check user, password and database, and the configuration of the proxy"
# libpq's own messages after it reached the server: the connection was cut, or it can never succeed.
# It has no process for the connection if it answers the request for encryption with an error.
_CUT_OFF = re.compile(
    r"SYSCALL|eof|reset by peer|broken pipe|unexpectedly|alert internal error|error response during", re.IGNORECASE
)
_NEVER = (
    (
        re.compile(r"expected authentication request|invalid response|unsupported protocol", re.IGNORECASE),
        "what answers there is not PostgreSQL: ",
        "check host and port",
    ),
    (
        re.compile(r"SSL|TLS|certificate", re.IGNORECASE),
        "",
        "check sslmode and sslrootcert in the url, and the server's certificate",
    ),
    (
        re.compile(r"authentication|channel binding|SASL|SCRAM|GSS", re.IGNORECASE),
        "",
        "check how the server's pg_hba.conf wants this user to authenticate",
    ),
)
_PREFIX = re.compile(r"\A(?:connection (?:to server .*? )?|[a-z ]+ )failed: |\Aconnection is bad: ", re.IGNORECASE)
_SEVERITY = re.compile(r"\A\S+:\s+")
_IN_TRANSACTION_HINT = "the statements run in one transaction: run this one with psql, in a command.run step"


class RefusedConnection(Rejected):
    """The server is up but refused the login, with this `sqlstate`."""

    def __init__(self, message: str, sqlstate: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate


def verdict(sqlstate: str, message: str = "") -> Verdict:
    """Judge an error of the server by its code, and its message, if any: some codes have several meanings."""
    if sqlstate in _REJECTED or (sqlstate == "08P01" and _PGBOUNCER_NEVER.search(message)):
        return "rejected"
    if _LOST.fullmatch(sqlstate):
        return "lost"
    # Two sessions grant privileges on one object at the same time; PostgreSQL has no better code for it.
    concurrent = sqlstate == "XX000" and message.startswith("tuple concurrently")
    return "not yet" if concurrent or _NOT_YET.fullmatch(sqlstate) else "never"


def connect_error(where: str, error: psycopg.Error) -> StepError:
    """Return the step's error for an error of `psycopg.connect`; `where` is the server, for messages."""
    handle = error.pgconn
    if handle is None:
        return StepFailed(f"{where}: {error}".strip(), hint="check the parameters in the query of the url")
    text = handle.error_message.decode(errors="replace")
    # In every language, libpq's messages about a connection contain the server's address.
    if not any(place and place in text for place in (handle.hostaddr.decode(), handle.host.decode(), ".s.PGSQL.")):
        return StepFailed(f"{where}: {_first_line(text)}", hint="check the parameters in the query of the url")
    if handle.needs_password:
        message = f"{where}: the server wants a password and none is given"
        return StepFailed(message, hint="give it in the url, as password or in PGPASSWORD")
    # Only messages of the server have a severity and two spaces in front.
    if ":  " in text:
        from inithold.steps.postgres.refusal import HEALED, ask  # noqa: PLC0415 - on the failure path alone

        options = {one.keyword.decode(): one.val.decode() for one in handle.info if one.val is not None}
        refusal = ask({**options, "password": handle.password.decode()}, 5.0)
        if refusal == HEALED:
            return NotYet(f"{where}: {_first_line(text)}")
        if refusal is not None:
            code, message = refusal
            judged, advice = verdict(code, message), {**_REJECTED, **_NO_CONNECT}.get(code)
            if advice is not None or judged == "rejected":
                return RefusedConnection(f"{where}: {message}", code, hint=advice or _PROXY_HINT)
            # 57014: the authentication timed out on the server.
            if judged != "never" or code == "57014":
                return NotYet(f"{where}: {message}")
            hint = "see the server's log, and this code in PostgreSQL's manual"
            return StepFailed(f"{where}: {message} ({code})", hint=hint)
    message = _first_line(text)
    for words, about, hint in () if _CUT_OFF.search(message) else _NEVER:
        if words.search(message):
            return StepFailed(f"{where}: {about}{message}", hint=hint)
    return NotYet(f"{where}: {message}")


def _first_line(text: str) -> str:
    line = _PREFIX.sub("", text.strip().partition("\n")[0])
    return (_SEVERITY.sub("", line) if ":  " in line else line) or "no reason given"


def statement_error(where: str, error: psycopg.Error) -> StepError:
    """Return the step's error for a failed statement or a lost connection at `where`, a server or script."""
    import psycopg  # noqa: PLC0415 - heavy

    if error.sqlstate is None:
        if isinstance(error, psycopg.OperationalError):
            # From libpq, not from the server: the connection is gone.
            return NotYet(f"{where}: connection lost: {_first_line(str(error))}")
        # From psycopg: the statement is COPY.
        return StepFailed(f"{where}: {error}", hint="run it with psql, in a command.run step")
    text = error.diag.message_primary or str(error)
    judged = verdict(error.sqlstate, text)
    if judged == "lost":
        return NotYet(f"{where}: connection lost: {text}")
    if judged == "not yet":
        return NotYet(f"{where}: {text}")
    hint = _IN_TRANSACTION_HINT if error.sqlstate == "25001" else error.diag.message_hint
    detail = f"\n{error.diag.message_detail}" if error.diag.message_detail else ""
    return StepFailed(f"{where}: {text}{detail}", hint=hint)
