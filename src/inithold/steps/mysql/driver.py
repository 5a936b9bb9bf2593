"""MySQL and MariaDB.

The numbers, which MariaDB shares, are those of
https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from threading import Event
from typing import TYPE_CHECKING, Any

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.cut import Line
from inithold.process.imports import IMPORTING
from inithold.steps.address import DEFAULT_PORTS, Address
from inithold.steps.base import StepContext
from inithold.steps.database.driver import ANSWER_WITHIN, Answer, CatalogRow
from inithold.steps.database.guard import not_established
from inithold.steps.database.script import Script
from inithold.steps.mysql.tls import TLS_HINT, arguments, wanted

if TYPE_CHECKING:
    import pymysql

CANCEL_WITHIN = 0.4
"""Seconds a server gets to end a statement that is cancelled, before the connection is closed under it."""
_CHECK_LOGIN = (
    "check user and password; where the server creates its user late, a database.ready with retry_auth: true waits"
)
_REJECTED = {
    1044: "grant the user a privilege on the database",
    1045: _CHECK_LOGIN,
    1049: "check the name of the database, or have a mysql.database step create it first",
    1130: "let the user connect from this host",
    1698: _CHECK_LOGIN,
}
# Too many connections (of the server, of the user), shutting down, killed, lost.
_NOT_YET = {1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 2002, 2003}
_LOST = {2006, 2013}
_FOREIGN = {0, 2027}
_CONFLICT = {1205, 1213}
_UNDEFINED = {1054, 1146, 1305}
_HINTS = {
    1115: "SHOW CHARACTER SET lists those that the server knows",
    1253: "SHOW COLLATION lists which belongs to which",
    1273: "SHOW COLLATION lists those that the server knows",
}
_TLS = {2026, 3159}
_RSA_HINT = "let the server offer TLS, or pip install 'PyMySQL[rsa]'"
_COMMITS = re.compile(r"(?:CREATE|ALTER|DROP|TRUNCATE|RENAME|GRANT|REVOKE)\b", re.IGNORECASE)
_COMMITS_HINT = "MySQL commits at each CREATE, ALTER, DROP, TRUNCATE, RENAME and GRANT: what ran before one stays"


@cache
def preload() -> None:
    """Import PyMySQL."""
    with IMPORTING:
        import pymysql.constants  # noqa: F401, PLC0415 - heavy


def open_session(address: Address, context: StepContext, *, create: bool) -> MysqlSession:  # noqa: ARG001 - SQLite's
    """Connect for a step; see `inithold.steps.database.driver.session`."""
    query = {name.replace("-", "_").lower(): value for name, value in address.query}
    seconds = context.remaining(_connect_timeout(query))
    line = Line.to(address.host, address.port, query.get("unix_socket"), context.remaining(5.0))
    with ExitStack() as until_open:
        until_open.callback(line.close)
        context.check_cancelled()
        preload()
        session = MysqlSession(address, query, line, context)
        with line.cut_after(seconds) as late, context.on_cancel(line.cut), _explained(line.where, context, late):
            session.connect()
        until_open.pop_all()
        return session


def _connect_timeout(query: dict[str, str]) -> float:
    with suppress(KeyError, ValueError):
        return max(float(query["connect_timeout"]), 1.0)
    return ANSWER_WITHIN


@contextmanager
def _explained(where: str, context: StepContext, late: Event | None = None) -> Iterator[None]:
    import pymysql  # noqa: PLC0415 - heavy

    try:
        yield
    except pymysql.MySQLError as error:
        context.check_cancelled()
        if late is not None and late.is_set():
            raise NotYet(f"{where}: accepts connections but does not answer") from error
        raise _error(where, error) from error
    except RuntimeError as error:
        # PyMySQL, on what it needs a further package for.
        raise StepFailed(f"{where}: {error}", hint=_RSA_HINT) from error


def _commits(script: Script, first: int | None) -> bool:
    """Whether one of the first statements makes MySQL commit of its own accord."""
    return any(_COMMITS.match(statement.words) for statement in script.statements[:first])


def _code(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _words(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def _error(where: str, error: pymysql.MySQLError) -> StepError:
    code, message = _code(error), f"{where}: {_words(error)}"
    if code in _REJECTED:
        return Rejected(message, hint=_REJECTED[code])
    cause = getattr(error, "original_exception", None)
    cut_off = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    if code in _TLS or (isinstance(cause, ssl.SSLError) and not cut_off):
        words = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or _words(error)
        return StepFailed(f"{where}: TLS: {words}", hint=TLS_HINT)
    if code in _LOST:
        return NotYet(f"{where}: connection lost")
    if code in _NOT_YET or code in _CONFLICT:
        return NotYet(message)
    if code in _FOREIGN:
        seen = "what answers there is not MySQL"
        return StepFailed(f"{where}: {seen}: {_words(error)}", hint="check host and port")
    return StepFailed(message, hint=_HINTS.get(code))


class MysqlSession:
    """A connection to MySQL or MariaDB; see `inithold.steps.database.driver.Session`."""

    folds_columns = True

    def __init__(self, address: Address, query: dict[str, str], line: Line, context: StepContext) -> None:
        self.folds_tables = False
        self._address = address
        self._query = query
        self._line = line
        self._context = context
        self._connection = self._prepared()

    def connect(self) -> None:
        """Authenticate, over TLS where the URL or the server wants it."""
        self._connection.connect(self._line.connected)
        if wanted(self._query) and not self._fetch("SHOW STATUS LIKE 'Ssl_cipher'")[0][1]:
            raise StepFailed(f"{self._line.where}: TLS: the server does not offer it", hint=TLS_HINT)

    def answer(self) -> None:
        self.rows("SELECT 1")

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        self.folds_tables = str(self.rows("SELECT @@lower_case_table_names")[0][0]) != "0"
        marks = ", ".join(["%s"] * len(names))
        query = (
            "SELECT table_schema, table_name, table_schema = DATABASE(), column_name"  # noqa: S608 - only marks
            f" FROM information_schema.columns WHERE LOWER(table_name) IN ({marks})"
            " AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys')"
        )
        rows = self.rows(query, *(name.lower() for name in names))
        return [CatalogRow(schema, table, bool(visible), column) for schema, table, visible, column in rows]

    def ask(self, query: str) -> Answer:
        import pymysql  # noqa: PLC0415 - heavy

        self.rows("START TRANSACTION READ ONLY")
        try:
            with self._interruptible():
                return Answer(bool(self._fetch(query)))
        except pymysql.MySQLError as error:
            self._context.check_cancelled()
            if _code(error) in _UNDEFINED:
                return Answer(False, _words(error))
            raise _error("unless", error) from error

    def run(self, script: Script, unless: str | None) -> None:
        bare = script.without_own_transaction().packed()
        with self._interruptible(), _explained(script.name, self._context):
            self._run(bare)
            self._verify(bare, unless)
            self._context.check_cancelled()
            self._connection.commit()

    def rows(self, query: str, *parameters: str) -> Sequence[tuple[Any, ...]]:
        """Ask a question of our own, which is answered at once or not at all."""
        seconds = self._context.remaining(ANSWER_WITHIN)
        with (
            self._line.cut_after(seconds) as late,
            self._interruptible(),
            _explained(self._line.where, self._context, late),
        ):
            return self._fetch(query, *parameters)

    def change(self, statement: str) -> None:
        """Run a statement that commits by itself, however long it waits for others."""
        with self._interruptible(), _explained(self._line.where, self._context):
            self._fetch(statement)

    def close(self) -> None:
        with suppress(Exception):  # PyMySQL says goodbye on a connection that may be gone
            self._connection.close()
        self._line.close()

    def _run(self, script: Script) -> None:
        import pymysql  # noqa: PLC0415 - heavy

        number = 1
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(script.text)
                number += 1
                while cursor.nextset():
                    number += 1
        except pymysql.MySQLError as error:
            self._context.check_cancelled()
            failed = _error(script.nth(number), error)
            if isinstance(failed, StepFailed) and _commits(script, number):
                failed.hint = _COMMITS_HINT
            raise failed from error

    def _verify(self, script: Script, unless: str | None) -> None:
        import pymysql  # noqa: PLC0415 - heavy

        if unless is None:
            return
        try:
            if self._fetch(unless):
                return
            seen = "returns no row"
        except pymysql.MySQLError as error:
            if _code(error) not in _UNDEFINED:
                raise
            seen = f"cannot be asked: {_words(error)}"
        raise not_established(seen, kept="MySQL has committed some" if _commits(script, None) else "")

    def _prepared(self) -> pymysql.Connection[Any]:
        import pymysql  # noqa: PLC0415 - heavy
        from pymysql.constants import CLIENT  # noqa: PLC0415 - heavy

        address = self._address
        return pymysql.connect(
            host=address.host or "localhost",
            port=address.port or DEFAULT_PORTS["mysql"],
            user=address.user or None,
            # As bytes: PyMySQL would write a text in Latin-1.
            password=(address.password or "").encode(),
            database=address.database or None,
            charset="utf8mb4",
            client_flag=CLIENT.MULTI_STATEMENTS,
            defer_connect=True,
            **arguments(self._query, self._line.where, pymysql.VERSION),
        )

    def _fetch(self, query: str, *parameters: str) -> Sequence[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        done = Event()
        with self._context.on_cancel(lambda: self._kill(done)):
            self._context.check_cancelled()
            try:
                yield
            finally:
                done.set()

    def _kill(self, done: Event) -> None:
        """End the connection on the server, which rolls back; where that fails, only here."""
        number = self._connection.thread_id()  # type: ignore[no-untyped-call]
        with suppress(Exception):  # whatever fails here, the connection is cut below
            other = Line.to(self._address.host, self._address.port, self._query.get("unix_socket"), CANCEL_WITHIN)
            with other.cut_after(CANCEL_WITHIN):
                killer = self._prepared()
                killer.connect(other.connected)
                killer.kill(number)  # type: ignore[no-untyped-call]
                killer.close()
            other.close()
        done.wait(0.1)
        self._line.cut()
