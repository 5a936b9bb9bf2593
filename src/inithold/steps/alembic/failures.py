"""Turns exceptions into messages with the server's own message, the revision, file and line.

SQLAlchemy's messages are not used: they quote the statement and its parameters, which may be personal data.
"""

from __future__ import annotations

import re
import socket
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.dial import describe
from inithold.redaction.redact import scrub
from inithold.text import platform

if TYPE_CHECKING:
    import psycopg

Verdict = Literal["lost", "not yet", "rejected", "never"]

# psycopg2 gives no code for a failed connection, so its message and the server's must be matched.
_SAYS_NOT_YET = re.compile(
    r"connection refused|could not connect|connection reset|server closed the connection|terminating connection"
    r"|starting up|shutting down|too many (?:clients|connections)|remaining connection slots|broken pipe"
    r"|could not translate host name|name or service not known|temporary failure in name resolution"
    r"|no such file or directory\s+is the server running|timeout expired|connection timed? ?out|no route to host"
    r"|failed to resolve host|connection (?:was|is) (?:closed|lost|bad)|unexpected connection_lost|is locked",
    re.IGNORECASE,
)
_SAYS_REJECTED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|(?:role|database) \"[^\"]*\" does not exist"
    r"|access denied|unknown database",
    re.IGNORECASE,
)
_UNRESOLVED = re.compile("resolve|translate host name")
_FATAL = re.compile(r"FATAL:\s+(?P<words>[^\n]+)")
_ASYNCPG = re.compile(r"\A<class '[\w.]+'>:\s*")
AS_ALEMBIC = "alembic current must work in the same place with the same variables"
"""The hint for failures in the application's own env.py."""
_DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pymysql", "MySQLdb", "aiomysql", "asyncmy", "sqlite3", "pg8000")
_ROW_DATA = ("22", "23")
"""SQLSTATE classes whose details quote rows."""


class ServerError(NamedTuple):
    """An error raised by a driver: its message, without statement and parameters, and whether it may pass."""

    words: str
    verdict: Literal["not yet", "rejected", "never"]


def server_error(error: BaseException, *, connecting: bool) -> ServerError | None:
    """Find an error of the database server or the network in an exception; None if it is not about those.

    While an engine is connecting, some drivers raise plain network errors; later, such an error may come from a
    revision that uses other services.
    """
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - slow

    lost = False
    found: BaseException | None = None
    for link in _chain(error):
        module = type(link).__module__
        # An adapter's errors have a code, those of SQLAlchemy itself have none.
        adapter = module.startswith("sqlalchemy.dialects") and hasattr(link, "pgcode")
        if isinstance(link, DBAPIError):
            lost = lost or link.connection_invalidated
        elif module.partition(".")[0] in _DRIVERS or adapter:
            found = link  # Keep the last: the driver's own error comes behind those of asyncio adapters.
        elif isinstance(link, ConnectionError | socket.gaierror | TimeoutError) and (connecting or found):
            unresolved = isinstance(link, socket.gaierror)
            network = "the name does not resolve" if unresolved else describe(link) or "connection lost"
            return ServerError(scrub(_words(found)) if found else network, "not yet")
    if found is None:
        return None
    words = scrub(_words(found))
    verdict = "lost" if lost else _verdict(found, words)
    return ServerError(words, "not yet" if verdict == "lost" else verdict)


def connecting_failed(error: ServerError, place: str, probe: tuple[str, int] | None) -> StepError:
    """Return the step's error for a failed connection to `place`."""
    message = f"{place}: {error.words}"
    if error.verdict == "not yet":
        return NotYet(
            message, probe=probe, hint=platform.unresolved() if _UNRESOLVED.search(error.words) else None
        )
    if error.verdict == "rejected":
        return Rejected(message, hint="check user, password and database of the URL, and that init may log in")
    return StepFailed(message, hint=AS_ALEMBIC)


def revision_error(error: BaseException, about: str, hint: str) -> StepFailed:
    """Return the step's error for an Alembic error about revision files or the target."""
    cause = error.__cause__
    # The message of CommandError is less precise than that of its cause.
    told = str(cause) if type(cause).__module__ == "alembic.script.revision" else str(error)
    return StepFailed(f"{about}: {told[:1].lower()}{told[1:]}", hint=hint)


def at(error: BaseException, folder: str, others: Iterable[Path | str] = ()) -> str:
    """Describe an exception of the application's code: `migrations/env.py:12: ModuleNotFoundError: ...`."""
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    place = place_of(error, folder, others)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, SystemExit):
        what = f"sys.exit({error.code!r})"
    elif isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
    elif isinstance(error, CommandError):
        what = str(error)
    else:
        text = ""
        with suppress(Exception):  # an exception's text is the application's code, too
            text = str(error)
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return scrub(f"{place}: {what}" if place else what)


def place_of(error: BaseException, folder: str, others: Iterable[Path | str] = ()) -> str:
    """Return file and line of the innermost frame in the migration folders, or an empty string."""
    folders = [Path(folder).resolve(), *(Path(other).resolve() for other in others)]
    if isinstance(error, SyntaxError) and error.filename and _within(error.filename, folders):
        return f"{_short(error.filename)}:{error.lineno}"
    for link in _chain(error):
        frames = traceback.extract_tb(link.__traceback__)
        for frame in reversed(frames):
            if _within(frame.filename, folders):
                return f"{_short(frame.filename)}:{frame.lineno}"
    return ""


def _within(filename: str, folders: Sequence[Path]) -> bool:
    try:
        path = Path(filename).resolve()
    except OSError:  # a relative one, such as <string>, in a folder that is gone
        return False
    return any(path.is_relative_to(folder) for folder in folders)


def _short(filename: str) -> str:
    path = Path(filename).resolve()
    with suppress(OSError, ValueError):  # the folder is gone, or another one
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            following = getattr(error, "orig", None)
            following = following if isinstance(following, BaseException) else None
            error = following or error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _verdict(error: BaseException, words: str) -> Verdict:
    # Imported only after a failure.
    from inithold.steps.mysql import verdicts as mysql  # noqa: PLC0415
    from inithold.steps.postgres import verdicts as postgres  # noqa: PLC0415

    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(code, str):
        return postgres.verdict(code, words)
    if error.args and isinstance(error.args[0], int):
        return mysql.verdict(error.args[0], words)
    if getattr(error, "pgconn", None) is not None:  # psycopg could not connect.
        refused = postgres.connect_error("", cast("psycopg.Error", error))
        return (
            "not yet" if isinstance(refused, NotYet) else "rejected" if isinstance(refused, Rejected) else "never"
        )
    text = f"{error}"
    if _SAYS_REJECTED.search(text) or _SAYS_REJECTED.search(words):
        return "rejected"
    return "not yet" if _SAYS_NOT_YET.search(text) else "never"


def _words(error: BaseException) -> str:
    told: Any = error
    diagnostics = getattr(told, "diag", None)
    primary = getattr(diagnostics, "message_primary", None)
    detail = getattr(diagnostics, "message_detail", None) or getattr(told, "detail", None)
    code = getattr(told, "sqlstate", None) or getattr(told, "pgcode", None) or ""
    if not primary and error.args and isinstance(error.args[0], int) and len(error.args) > 1:
        primary = f"{error.args[1]} (error {error.args[0]})"
    elif not primary:
        text = _ASYNCPG.sub("", str(error)).strip()
        fatal = _FATAL.search(text)
        primary = fatal["words"] if fatal else text.partition("\n")[0] or type(error).__name__
    if detail and not code.startswith(_ROW_DATA) and "\n" not in detail.strip():
        return f"{primary} ({detail.strip()})"
    return str(primary)
