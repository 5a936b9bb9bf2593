"""Why PostgreSQL, or libpq, lets nobody in: a clear line between "not yet" and "never".

The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inithold.errors import NotYet, Rejected, StepError, StepFailed

if TYPE_CHECKING:
    from inithold.steps.postgres.libpq_errors import ConnectFailed

_REJECTED = {
    "28P01": "check user and password; where the server creates its user late, a database.ready "
    "with retry_auth: true waits",
    "28000": "check the user, and the server's pg_hba.conf",
    "3D000": "check the name of the database, or have it created first",
    "42501": "grant the user CONNECT on the database",
}
_NO_DATABASE = "3D000"
# Connecting: the server will be another in a moment. 08P01 is what PgBouncer says of nearly everything.
_CONNECT_NOT_YET = re.compile(r"08...|53...|57P0[1235]|57014|58000")
_PGBOUNCER_NEVER = re.compile(r"no such (?:database|user)|unsupported startup|SSL required|auth|not allowed", re.I)
# What libpq itself says of a server it has reached: cut off in the middle of it, or never to be.
_CUT_OFF = re.compile(r"SYSCALL|eof|reset by peer|broken pipe|unexpectedly", re.IGNORECASE)
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
# Where libpq cannot be made to tell the code, its words in English have to do.
_ENGLISH = (
    (re.compile(r"password authentication failed|authentication failed for user"), "28P01"),
    (re.compile(r"database \".*\" does not exist"), "3D000"),
    (re.compile(r"role \".*\" |pg_hba\.conf"), "28000"),
    (re.compile(r"permission denied for database"), "42501"),
    (re.compile(r"too many (?:clients|connections)|slots are reserved"), "53300"),
    (re.compile(r"starting up|shutting down|recovery mode|not yet accepting"), "57P03"),
)


class UnknownDatabase(Rejected):
    """The server is up and has no database of this name."""


def refusal(error: StepError) -> str | None:
    """The server's code for refusing a connection; None where it said nothing.

    Args:
        error: of `connect`.
    """
    from inithold.steps.postgres.libpq_errors import ConnectFailed  # noqa: PLC0415 - heavy

    return _code(error.__cause__) if isinstance(error.__cause__, ConnectFailed) else None


def _code(failed: ConnectFailed) -> str | None:
    return failed.sqlstate or next((code for words, code in _ENGLISH if words.search(failed.words)), None)


def connect_error(where: str, failed: ConnectFailed) -> StepError:
    """What a connection that did not come about means.

    Args:
        where: the server, for people.
        failed: what was said.
    """
    code = _code(failed)
    return _by_libpq(where, failed) if code is None else _by_server(f"{where}: {failed.words}", code)


def _by_server(message: str, code: str) -> StepError:
    if code in _REJECTED:
        return (UnknownDatabase if code == _NO_DATABASE else Rejected)(message, hint=_REJECTED[code])
    if code == "08P01" and _PGBOUNCER_NEVER.search(message):
        return Rejected(message, hint="check user, password and database, and the configuration of the proxy")
    if _CONNECT_NOT_YET.fullmatch(code):
        return NotYet(message)
    return StepFailed(f"{message} ({code})", hint="see the server's log, and this code in PostgreSQL's manual")


def _by_libpq(where: str, failed: ConnectFailed) -> StepError:
    if not failed.reached:
        return StepFailed(f"{where}: {failed.words}", hint="check the parameters in the query of the url")
    if failed.needs_password:
        seen = "the server wants a password and none is given"
        return StepFailed(f"{where}: {seen}", hint="give it in the url, as password or in PGPASSWORD")
    for words, seen, hint in () if _CUT_OFF.search(failed.words) else _NEVER:
        if words.search(failed.words):
            return StepFailed(f"{where}: {seen}{failed.words}", hint=hint)
    return NotYet(f"{where}: {failed.words}")
