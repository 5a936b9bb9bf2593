"""Connections to MySQL and MariaDB with PyMySQL."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from inithold.errors import NotYet, StepFailed
from inithold.net.bounds import CANCEL_WITHIN, BoundedSocket, Bounds, Until
from inithold.net.dial import dial
from inithold.process.imports import import_alone
from inithold.steps.address import DEFAULT_PORTS, Address, parse
from inithold.steps.database.driver import ANSWER_WITHIN, CatalogRow, versions
from inithold.steps.database.guard import Answer, advised, judged, no_query, require
from inithold.steps.database.script import Script
from inithold.steps.mysql.verdicts import TLS_HINT, message_of, not_mysql, number_of, step_error

if TYPE_CHECKING:
    import pymysql

_UNDEFINED = {1054, 1146, 1305}
"""Undefined column, table or function: a guard that fails with one of these is not in place."""
_BIT = 16
"""The type of BIT columns: numbers that PyMySQL returns as bytes."""
_RSA_HINT = "let the server offer TLS, or pip install 'PyMySQL[rsa]'"
_COMMITS = re.compile(r"(?:CREATE|ALTER|DROP|TRUNCATE|RENAME|GRANT|REVOKE)\b", re.IGNORECASE)
_COMMITS_HINT = "MySQL commits at each CREATE, ALTER, DROP, TRUNCATE, RENAME and GRANT: what ran before one stays"
_SESSION = "SELECT 1 FROM information_schema.processlist WHERE id = %s"
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")


def open_session(address: Address, bounds: Bounds, *, create: bool = False) -> MysqlSession:  # noqa: ARG001 - SQLite's
    """Connect for a step; see `inithold.steps.database.driver.session`."""
    query = {name.replace("-", "_").lower(): value for name, value in address.query}
    most = ANSWER_WITHIN
    with suppress(KeyError, ValueError):
        most = max(float(query["connect_timeout"]), 1.0)
    path = query.get("unix_socket")
    where = path or f"{address.host}:{address.port}"
    seconds = bounds.remaining(5.0)
    # Dial first: it tells a failed lookup from a refused connection, before anything heavy is imported.
    resolved = "" if path else dial(address.host, address.port, timeout=seconds)
    with ExitStack() as until_open:
        try:
            if path:
                connected = until_open.enter_context(closing(socket.socket(socket.AF_UNIX)))
                connected.settimeout(seconds)
                connected.connect(path)
            else:
                dialled = socket.create_connection((resolved, address.port), timeout=seconds)
                connected = until_open.enter_context(closing(dialled))
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            raise NotYet(f"{where}: {(error.strerror or str(error)).lower()}") from error
        bounds.check_cancelled()
        import_alone("pymysql.constants")
        session = MysqlSession(address, query, where, connected, bounds)
        session.connect(connected, most)
        until_open.pop_all()
        return session


class MysqlSession:
    """A connection to MySQL or MariaDB; see `inithold.steps.database.driver.Session`."""

    folds_columns = True

    def __init__(
        self, address: Address, query: Mapping[str, str], where: str, connected: socket.socket, bounds: Bounds
    ) -> None:
        self.folds_tables = False
        self._address = address
        self._query = query
        self._where = where
        self._bounds = bounds
        self._connection = self._prepared()
        self._socket = BoundedSocket(connected.fileno(), bounds, where)

    def connect(self, connected: socket.socket, most: float) -> None:
        """Authenticate within `most` seconds, over TLS if the URL or the server requires it."""
        import pymysql  # noqa: PLC0415 - heavy

        late = "accepts connections but does not answer"
        with (
            advised("see the server's log, and this error in MySQL's manual"),
            _explained(self._where),
            self._socket.bounded(most, lambda: None, late=late),
        ):
            try:
                self._connection.connect(connected)
            except (pymysql.MySQLError, RuntimeError):
                raise
            except Exception as error:
                # PyMySQL parses whatever arrives, and fails if it is not MySQL's protocol.
                raise not_mysql(self._where) from error
            required = _tls_mode(self._query) not in ("PREFERRED", "DISABLED")
            if required and not self._fetch("SHOW STATUS LIKE 'Ssl_cipher'")[0][1]:
                raise StepFailed(f"{self._where}: TLS: the server does not offer it", hint=TLS_HINT)

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

    def versions(self) -> object:
        return versions(self.rows, "`")

    def ask(self, query: str) -> Answer:
        self.rows("START TRANSACTION READ ONLY")
        with _explained("unless"), self._socket.bounded(None, self._kill):
            return self._guard(query)

    def run(self, script: Script, unless: str | None) -> None:
        import pymysql  # noqa: PLC0415 - heavy

        bare = script.without_own_transaction().packed()

        def committed(first: int | None = None) -> bool:
            """Whether one of the first statements made MySQL commit implicitly."""
            return any(_COMMITS.match(statement.words) for statement in bare.statements[:first])

        number = 1
        with _explained(script.name), self._socket.bounded(None, self._kill):
            # The server completes a script even if its client was killed meanwhile. The lock, which ends with the
            # session, prevents the same script from running twice at the same time. Clusters have no such lock.
            key = hashlib.sha256(f"{self._address.database}\0{script.text}".encode()).hexdigest()[:32]
            with suppress(pymysql.MySQLError):
                if self._fetch("SELECT GET_LOCK(%s, 0)", f"inithold {key}")[0][0] == 0:
                    raise NotYet(f"{script.name}: another session is running it, perhaps of a run that was killed")
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute(bare.text)
                    number += 1
                    while cursor.nextset():
                        number += 1
            except pymysql.MySQLError as error:
                self._bounds.check_cancelled()
                failed = step_error(bare.nth(number), error)
                if isinstance(failed, StepFailed) and committed(number):
                    failed.hint = _COMMITS_HINT
                raise failed from error
            if unless is not None:
                require(self._guard(unless), kept="MySQL has committed some" if committed() else "")
            self._bounds.check_cancelled()
            self._connection.commit()

    def rows(self, query: str, *parameters: str) -> Sequence[tuple[Any, ...]]:
        """Run a query of inithold's own, with a time limit."""
        with _explained(self._where), self._socket.bounded(ANSWER_WITHIN, self._kill):
            return self._fetch(query, *parameters)

    def change(self, statement: str) -> None:
        """Run a statement that commits by itself, without a time limit: it may wait for locks."""
        with _explained(self._where), self._socket.bounded(None, self._kill):
            self._fetch(statement)

    def close(self) -> None:
        with suppress(Exception):  # PyMySQL sends QUIT on a connection that may be gone.
            self._connection.close()
        self._socket.close()

    def _guard(self, query: str) -> Answer:
        import pymysql  # noqa: PLC0415 - heavy

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(query)
                if not cursor.description:
                    raise no_query()
                bit = cursor.description[0][1] == _BIT
                rows = list(cursor.fetchmany(2))
        except pymysql.MySQLError as error:
            if number_of(error) in _UNDEFINED:
                return Answer(False, error=message_of(error))
            raise
        if bit and len(rows) == 1 and len(rows[0]) == 1 and rows[0][0] is not None:
            rows = [(int.from_bytes(rows[0][0]),)]
        return judged(rows)

    def _prepared(self, seconds: float | None = None) -> pymysql.Connection[Any]:
        """Return a connection: with `seconds` a connected one, else one that will be given its socket."""
        import pymysql  # noqa: PLC0415 - heavy
        from pymysql.constants import CLIENT  # noqa: PLC0415 - heavy

        address = self._address
        return pymysql.connect(
            host=address.host or "localhost",
            port=address.port or DEFAULT_PORTS["mysql"],
            user=address.user or None,
            # As bytes, because PyMySQL encodes a str as Latin-1.
            password=(address.password or "").encode(),
            database=address.database or None,
            charset="utf8mb4",
            client_flag=CLIENT.MULTI_STATEMENTS,
            unix_socket=self._query.get("unix_socket"),
            defer_connect=seconds is None,
            connect_timeout=seconds or ANSWER_WITHIN,
            read_timeout=seconds,
            write_timeout=seconds,
            **_tls_arguments(self._query, self._where, pymysql.VERSION),
        )

    def _fetch(self, query: str, *parameters: str) -> Sequence[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def _kill(self) -> None:
        """Kill the connection on the server, which rolls back."""
        with self._prepared(CANCEL_WITHIN) as killer:
            killer.kill(self._connection.thread_id())  # type: ignore[no-untyped-call]


@contextmanager
def _explained(where: str) -> Iterator[None]:
    import pymysql  # noqa: PLC0415 - heavy

    try:
        yield
    except pymysql.MySQLError as error:
        raise step_error(where, error) from error
    except RuntimeError as error:
        # PyMySQL needs another package for this authentication.
        raise StepFailed(f"{where}: {error}", hint=_RSA_HINT) from error


def end_session(session: Mapping[str, Any], until: float) -> None:
    """Terminate a session and wait for its end; see `inithold.steps.database.driver.end_sessions`."""
    number = str(int(session["backend"]))
    with closing(open_session(parse(session["url"], ["mysql"]), Until(until))) as own:
        if own.rows(_SESSION, number):
            own.rows(f"KILL {number}")
        while own.rows(_SESSION, number):
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.05)


def _tls_mode(query: Mapping[str, str]) -> str:
    """Return the `ssl_mode` that the URL's query asks for, by MySQL's parameter or PyMySQL's."""
    if "ssl_mode" in query:
        return query["ssl_mode"].upper()
    if any(query.get(name, "").lower() in _TRUE for name in ("ssl_verify_identity", "ssl_check_hostname")):
        return "VERIFY_IDENTITY"
    if query.get("ssl_verify_cert", "").lower() in _TRUE or "ssl_ca" in query:
        return "VERIFY_CA"
    given = query.get("ssl", "").lower()
    return "REQUIRED" if given in _TRUE or "ssl_cert" in query else "DISABLED" if given in _FALSE else "PREFERRED"


def _tls_arguments(query: Mapping[str, str], where: str, version: Sequence[Any]) -> dict[str, Any]:
    """Return PyMySQL's TLS arguments; since version 1.2 it prefers TLS by default."""
    mode = _tls_mode(query)
    if mode == "DISABLED":
        return {"ssl_disabled": True}
    if mode == "PREFERRED" and tuple(version[:2]) >= (1, 2):
        return {}
    tls = ssl.create_default_context()
    path = ""
    try:
        if path := query.get("ssl_ca", ""):
            tls.load_verify_locations(path)
        if path := query.get("ssl_cert", ""):
            tls.load_cert_chain(path, query.get("ssl_key"))
    except OSError as error:
        problem = "not what it should be, in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise StepFailed(f"{where}: TLS: {path}: {problem}", hint=TLS_HINT) from error
    tls.check_hostname = mode == "VERIFY_IDENTITY"
    tls.verify_mode = ssl.CERT_REQUIRED if mode.startswith("VERIFY") else ssl.CERT_NONE
    # The certificates that MySQL generates violate the strict rules.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return {"ssl": tls}
