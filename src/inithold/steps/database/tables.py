"""database.tables"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inithold.steps.base import Change, StepContext
from inithold.steps.database import driver
from inithold.steps.database.driver import CatalogRow, Session
from inithold.steps.database.kinds import Database

_NAME = re.compile(r'(?:("(?:[^"]|"")+"|[^."]+)\.)?("(?:[^"]|"")+"|[^".]+)')


class _Expected(NamedTuple):
    written: str
    schema: str | None
    table: str
    columns: tuple[str, ...]


class Tables(Database, frozen=True, kw_only=True):
    """Verify that tables exist, and columns of them.

    Only looks: what is missing fails the step, all of it at once, and is never made. Views count as tables.
    Names are taken as they are stored; without a schema they are found as a query would find them
    (`search_path`). MySQL shows a user only what it has some privilege on.

    Args:
        url: as of `database.ready`.
        host: name or address of a PostgreSQL server, instead of `url`.
        port: its port, 5432 if absent.
        user: who connects.
        password: of the user, as it is.
        database: name of the database.
        tables: names, `schema.name` where needed (a dot in a name: `"odd.name"`), or a mapping from names to
            lists of columns; a list may hold both.

    Example:
        ```yaml
        - id: schema
          uses: database.tables
          with:
            url: ${DATABASE_URL}
            tables: [users, billing.invoices, {game_sessions: [id, title]}]
        ```
    """

    kind = "database.tables"
    looks_only = True
    rights = (
        "to connect to the database; on PostgreSQL USAGE of the schema of a table that is named without one, on "
        "MySQL any privilege on the tables"
    )

    tables: list[str | dict[str, list[str]]] | dict[str, list[str] | None]

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        if not self.tables:
            yield "tables", "tables is empty"
        for written, _ in self._entries():
            if not _NAME.fullmatch(written):
                yield "tables", f"{written!r} is not a name: expected table or schema.table"

    def check(self, context: StepContext) -> Sequence[Change]:
        expected = [_parsed(written, columns) for written, columns in self._entries()]
        with driver.session(self.address(), context) as session:
            rows = session.catalog(sorted({one.table for one in expected}))
            return [change for one in expected for change in _missing(one, rows, session)]

    def _entries(self) -> Iterator[tuple[str, Sequence[str]]]:
        if isinstance(self.tables, dict):
            yield from ((name, columns or ()) for name, columns in self.tables.items())
            return
        for entry in self.tables:
            yield from ((entry, ()),) if isinstance(entry, str) else entry.items()


def _parsed(written: str, columns: Sequence[str]) -> _Expected:
    match = _NAME.fullmatch(written)
    schema, table = match.groups() if match else (None, written)
    return _Expected(written, schema and _bare(schema), _bare(table), tuple(columns))


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _missing(expected: _Expected, rows: Sequence[CatalogRow], session: Session) -> Iterator[Change]:
    def same_table(row: CatalogRow) -> bool:
        return _same(row.table, expected.table, folds=session.folds_tables)

    def found_here(row: CatalogRow) -> bool:
        return (
            row.visible
            if expected.schema is None
            else _same(row.schema, expected.schema, folds=session.folds_tables)
        )

    columns = [row.column for row in rows if same_table(row) and found_here(row)]
    if not columns:
        yield Change("!", f"table {expected.written} is missing", _elsewhere(expected, rows))
        return
    for name in expected.columns:
        if not any(_same(column or "", name, folds=session.folds_columns) for column in columns):
            close = [f"there is {column}" for column in columns if _same(column or "", name, folds=True)]
            yield Change("!", f"column {expected.written}.{name} is missing", tuple(close))


def _same(stored: str, expected: str, *, folds: bool) -> bool:
    return stored.lower() == expected.lower() if folds else stored == expected


def _elsewhere(expected: _Expected, rows: Sequence[CatalogRow]) -> tuple[str, ...]:
    near = {(row.schema, row.table) for row in rows if _same(row.table, expected.table, folds=True)}
    return tuple(f"there is {schema}.{table}" for schema, table in sorted(near))
