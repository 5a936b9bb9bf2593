"""The common interface to databases, and the choice of the driver.

The drivers are the modules in `_DRIVERS`. Importing one is cheap: heavy libraries are imported only after a plain
TCP connection has shown that the server is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any, NamedTuple, Protocol, runtime_checkable

from inithold.process.imports import import_alone
from inithold.redaction.redact import scrub
from inithold.steps.address import Address
from inithold.steps.addressed import Addressed
from inithold.steps.base import StepContext
from inithold.steps.database.guard import Answer
from inithold.steps.database.script import Script

_DRIVERS = {
    "postgresql": "inithold.steps.postgres.connection",
    "mysql": "inithold.steps.mysql.driver",
    "sqlite": "inithold.steps.sqlite",
}
_LIBRARIES = {"postgresql": "psycopg", "mysql": "pymysql.constants", "sqlite": "sqlite3"}
EXTRAS = {"postgresql": ("postgres",), "mysql": ("mysql",)}
ANSWER_WITHIN = 10.0
"""Time limit in seconds for connecting, and for a query of inithold's own (not of the user's)."""
_VERSION_TABLES = (
    "SELECT table_schema, table_name FROM information_schema.columns WHERE column_name = 'version_num'"
)


class CatalogRow(NamedTuple):
    """A column of a table or view with one of the requested names, in any case.

    Attributes:
        schema: of the table.
        table: its name as stored.
        visible: whether its unqualified name finds it.
        column: its name as stored; None for a table without columns.
    """

    schema: str
    table: str
    visible: bool
    column: str | None


class Session(Protocol):
    """A connection for one check or one apply.

    Every method may raise `NotYet`, `StepFailed` and `Interrupted`, with messages for users.
    """

    folds_tables: bool
    """Whether `Users` and `users` are the same table."""
    folds_columns: bool
    """Whether `Email` and `email` are the same column."""

    def answer(self) -> None:
        """Run a trivial query."""

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        """Look up tables and views by their unqualified names, in every schema."""

    def ask(self, query: str) -> Answer:
        """Run a guard in a read-only transaction."""

    def versions(self) -> object:
        """The content of every table that has a column `version_num`, as Alembic's do."""

    def run(self, script: Script, unless: str | None) -> None:
        """Run a script and then its guard in one transaction; commit if the guard is in place."""

    def close(self) -> None:
        """Close the connection."""


@runtime_checkable
class LastingSession(Session, Protocol):
    """A session that a later check may use, in another thread."""

    def hand_over(self, context: StepContext) -> bool:
        """Serve another check from now on; False if the connection has been lost."""


@contextmanager
def session(address: Address, context: StepContext, *, create: bool = False) -> Iterator[Session]:
    """Connect, for SQLite with `create` also to a missing file; closed at the end of the context.

    Raises:
        NotYet: the server is not up, or does not accept connections yet.
        Rejected: the server refused the password, the role or the database.
        StepFailed: TLS or a parameter of the URL is wrong.
    """
    opened = _open(address, context, create=create)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def reading(address: Address, context: StepContext, *, anew: bool = False) -> Iterator[Session]:
    """A session for reads of inithold's own: the one of an earlier check if there is one, and left to the next.

    Nothing of the user's may run in it, not even a guard, which may change the session.

    Args:
        anew: connect in any case, because whether the server lets the user in is the question.

    Raises:
        NotYet, Rejected, StepFailed: as `session` does.
    """
    shared = context.connections
    if shared is None:
        with session(address, context) as own:
            yield own
        return
    changes = shared.changes
    earlier = None if anew else shared.take(address)
    if isinstance(earlier, LastingSession) and earlier.hand_over(context):
        current: Session = earlier
    else:
        if earlier is not None:
            earlier.close()
        current = _open(address, context)
    try:
        yield current
    except BaseException:
        current.close()
        raise
    if isinstance(current, LastingSession):
        shared.keep(address, current, changes)
    else:
        current.close()


def _open(address: Address, context: StepContext, *, create: bool = False) -> Session:
    opened: Session = import_module(_DRIVERS[address.technology]).open_session(address, context, create=create)
    return opened


class Database(Addressed, frozen=True, kw_only=True):
    """Base of the kinds for any database; the URL says which technology it is.

    Args:
        url: `postgresql://user:password@host:5432/database`, `mysql://...` or `sqlite:///file.db`, with user and
            password percent-encoded.
        host: name or address of a PostgreSQL server, instead of `url`.
        port: port of the server; 5432 if absent.
        database: name of the database.
    """

    technologies = tuple(_DRIVERS)

    def validate_address(self, address: Address) -> Iterator[tuple[str, str]]:
        if address.technology == "postgresql":
            of_parameters = import_module("inithold.steps.postgres.conninfo").faults
            yield from (("url", fault) for fault in of_parameters(address))
        if address.technology == "sqlite" and address.database == ":memory:":
            yield "url", "url is a database in memory, which nobody else can see: give a file"

    def extras(self) -> Sequence[str]:
        try:
            return EXTRAS.get(self.address().technology, ())
        except ValueError:  # Reported by `validate`.
            return ()

    def preload(self) -> None:
        load_driver(self.address().technology)


def load_driver(technology: str) -> None:
    """Import the driver for a technology, with its library."""
    import_module(_DRIVERS[technology])
    import_alone(_LIBRARIES[technology])


def library(technology: str) -> str:
    """The package that the driver for a technology imports."""
    return _LIBRARIES[technology].partition(".")[0]


def versions(rows: Callable[[str], Sequence[Sequence[Any]]], quote: str, tables: str = _VERSION_TABLES) -> object:
    """`Session.versions`.

    Args:
        rows: runs a query.
        quote: the quotation mark for names.
        tables: selects schema and name of each table.
    """
    contents = []
    for table in sorted(map(tuple, rows(tables))):
        name = ".".join(f"{quote}{part.replace(quote, 2 * quote)}{quote}" for part in table)
        # A table with more rows is not Alembic's, and may be large.
        numbers = rows(f"SELECT version_num FROM {name} LIMIT 100")  # noqa: S608
        contents.append((name, sorted(map(repr, numbers))))
    return contents


def end_sessions(sessions: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """Terminate sessions of a process that has ended, and wait until the servers no longer have them.

    A server may not notice that its client is gone: PostgreSQL checks between statements, MySQL when it sends
    something. Only the sessions that the worker reported are ended, by the server's number for them.

    Args:
        sessions: as reported by the worker: `technology`, `url`, `shown`, the server's number `backend`, and
            `since`, the start of the session, if the server shows it.
        seconds: time limit for all of them.

    Returns:
        The addresses of servers that did not confirm it, for messages; empty if all did.
    """
    until = time.monotonic() + seconds
    confirmed = set()

    def end(number: int, session: Mapping[str, Any]) -> None:
        with suppress(Exception):  # Of any driver: then it counts as not confirmed.
            import_module(_DRIVERS[session["technology"]]).end_session(session, until)
            confirmed.add(number)

    # In threads, so that a silent server does not delay the others.
    threads = [Thread(target=end, args=pair, daemon=True) for pair in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    left = {session["shown"] for number, session in enumerate(sessions) if number not in confirmed}
    return scrub(", ".join(sorted(left)))
