"""SQLite: opens database files and runs statements."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inithold.errors import Interrupted, NotYet, StepFailed
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.database.driver import CatalogRow, versions
from inithold.steps.database.guard import Answer, judged, no_query, require
from inithold.steps.database.script import Script

BUSY = 0.2
"""Seconds SQLite itself waits for a lock; then the runner retries, which can be cancelled."""
# https://sqlite.org/rescode.html: a lock that is not free, and system errors that may be temporary.
_NOT_YET = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
)
_VERSION_TABLES = """
SELECT 'main', tables.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND columns.name = 'version_num'
"""
_WORDS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room on the volume that the file is on"),
    sqlite3.SQLITE_NOTADB: (
        "not a SQLite database",
        "check the path in url; a file that is encrypted looks like this, too",
    ),
    sqlite3.SQLITE_CORRUPT: ("damaged", "restore a backup, or save what sqlite3 FILE .recover finds"),
}


def open_session(address: Address, context: StepContext, *, create: bool) -> _Session:
    """Open the file for a step; see `inithold.steps.database.driver.session`."""
    name = address.database or ""
    # SQLAlchemy's form of SQLite's URI file names.
    path = Path(name.removeprefix("file:") if dict(address.query).get("uri") == "true" else name)
    uri = f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}"
    if not _exists(path) and not create:
        uri = "file::memory:"
    with _explained(str(path), context):
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None)
    return _Session(connection, str(path), context)


def _exists(path: Path) -> bool:
    """Whether the file exists; raises if it does not and SQLite could not create it."""
    if path.is_dir():
        raise StepFailed(
            f"{path}: a folder, not a database file",
            hint="a mount whose source does not exist makes a folder; or name the file in it",
        )
    if path.exists():
        if not os.access(path, os.R_OK):
            raise StepFailed(f"{path}: this user may not read it", hint="check owner and mode of the file")
        return True
    folder = path.resolve().parent
    if not folder.is_dir():
        raise StepFailed(f"{path}: its folder does not exist", hint=f"make {folder}, or mount it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StepFailed(
            f"{path}: does not exist, and its folder cannot be written by this user",
            hint=f"check owner and mode of {folder}",
        )
    return False


@contextmanager
def _explained(where: str, context: StepContext) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # An interrupted statement ends the step, whatever SQLite's error is.
        context.check_cancelled()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message, hint = _WORDS.get(code, (str(error), None))  # of a script the step advises
        raise (NotYet if code in _NOT_YET else StepFailed)(f"{where}: {message}", hint=hint) from error


class _Session:
    folds_tables = True
    folds_columns = True

    def __init__(self, connection: sqlite3.Connection, where: str, context: StepContext) -> None:
        self._connection = connection
        self._where = where
        self._context = context
        # SQLite calls it every 10,000 of its instructions.
        connection.set_progress_handler(self._stopped, 10_000)

    def answer(self) -> None:
        # This reads the file's first page, under a lock.
        self._rows(self._where, "SELECT count(*) FROM sqlite_master")

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        rows = []
        marks = ", ".join("?" * len(names))
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name)"
        tables = self._rows(self._where, f"{query} IN ({marks})", *(name.lower() for name in names))
        for (table,) in tables:
            columns = self._rows(self._where, "SELECT name FROM pragma_table_info(?)", table)
            rows += [CatalogRow("main", table, True, column) for (column,) in columns]
        return rows

    def versions(self) -> object:
        return versions(lambda query: self._rows(self._where, query), '"', _VERSION_TABLES)

    def ask(self, query: str) -> Answer:
        self._rows(self._where, "PRAGMA query_only = ON")
        return self._guard(query)

    def run(self, script: Script, unless: str | None) -> None:
        bare = script.without_own_transaction()
        self._rows(self._where, "BEGIN IMMEDIATE")
        try:
            first, number = None, 1
            for piece in bare.statements:
                first = first or piece
                text = bare.text[first.start : piece.end]
                # SQLite decides where a statement ends, also one that contains semicolons.
                if sqlite3.complete_statement(text) or piece is bare.statements[-1]:
                    self._context.check_cancelled()
                    self._rows(f"{script.name}, statement {number} (line {script.line(first.start)})", text)
                    first, number = None, number + 1
            if unless is not None:
                require(self._guard(unless))
            self._context.check_cancelled()
            if self._connection.in_transaction:
                self._rows(self._where, "COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            raise

    def close(self) -> None:
        self._connection.close()

    def _guard(self, query: str) -> Answer:
        with _explained("unless", self._context):
            try:
                cursor = self._connection.execute(query)
                if cursor.description is None:
                    raise no_query()
                return judged(cursor.fetchmany(2))
            except sqlite3.OperationalError as error:
                if str(error).startswith("no such "):
                    return Answer(False, error=str(error))
                raise

    def _rows(self, where: str, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        with _explained(where, self._context):
            return self._connection.execute(query, parameters).fetchall()

    def _stopped(self) -> bool:
        try:
            self._context.check_cancelled()
        except Interrupted:
            return True
        return False


def end_session(session: Mapping[str, Any], until: float) -> None:
    """Do nothing: there is no server, so the session ended with its process."""
