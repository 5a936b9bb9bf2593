"""database.tables"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from inithold.steps.base import Change, StepContext
from inithold.steps.database import driver
from inithold.steps.database.driver import Database

_NAME = re.compile(r'(?:("(?:[^"]|"")+"|[^."]+)\.)?("(?:[^"]|"")+"|[^".]+)')


class Tables(Database, frozen=True, kw_only=True):
    """Verify that tables and columns exist.

    The step reports everything that is missing at once and fails; it never creates anything. Views count as
    tables. Names are case-sensitive, as stored; a name without a schema is looked up through `search_path`, as in
    a query. MySQL shows a user only the tables it has some privilege on.

    Args:
        tables: table names, as `schema.name` where needed (quote a name that has a dot: `"odd.name"`), or a
            mapping of names to lists of columns; a list may mix both.

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
        "connect to the database; on PostgreSQL, USAGE on the schema of each table named without one; on MySQL, "
        "any privilege on the tables"
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
        names = {}
        for written, _ in self._entries():
            if match := _NAME.fullmatch(written):
                schema, table = (
                    part[1:-1].replace('""', '"') if part.startswith('"') else part for part in match.groups("")
                )
                names[written] = (schema, table)
        changes = []
        with driver.reading(self.address(), context) as session:
            rows = session.catalog(sorted({table for _, table in names.values()}))
        folds = session.folds_tables
        for written, columns in self._entries():
            schema, table = names[written]
            current = [
                row.column or ""
                for row in rows
                if _same(row.table, table, folds=folds)
                and (_same(row.schema, schema, folds=folds) if schema else row.visible)
            ]
            if not current:
                near = sorted({(row.schema, row.table) for row in rows if _same(row.table, table, folds=True)})
                details = tuple(f"there is {'.'.join(pair)}" for pair in near)
                changes.append(Change("!", f"table {written} is missing", details))
                continue
            for expected in columns:
                if not any(_same(column, expected, folds=session.folds_columns) for column in current):
                    close = tuple(
                        f"there is {column}" for column in current if _same(column, expected, folds=True)
                    )
                    changes.append(Change("!", f"column {written}.{expected} is missing", close))
        return changes

    def _entries(self) -> Iterator[tuple[str, Sequence[str]]]:
        if isinstance(self.tables, dict):
            yield from ((name, columns or ()) for name, columns in self.tables.items())
            return
        for entry in self.tables:
            yield from ((entry, ()),) if isinstance(entry, str) else entry.items()


def _same(stored: str, expected: str, *, folds: bool) -> bool:
    return stored.lower() == expected.lower() if folds else stored == expected
