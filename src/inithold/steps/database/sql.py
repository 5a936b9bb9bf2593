"""database.sql"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inithold.errors import StepError, StepFailed
from inithold.redaction.redact import SECRETS
from inithold.steps.base import Change, StepContext
from inithold.steps.database import driver
from inithold.steps.database.driver import Database
from inithold.steps.database.guard import advised
from inithold.steps.database.script import Script
from inithold.text.files import read_regular_text

_FIX_GUARD = "unless must be a query of this database that only reads"
_FIX_SCRIPT = "fix that statement, or the data it runs on; the transaction it was in is rolled back"


class Sql(Database, frozen=True, kw_only=True):
    """Run SQL statements in one transaction, unless a query shows that they are not needed.

    If a statement fails or the run is cancelled, all of them are rolled back; a BEGIN at the start and a COMMIT at
    the end are dropped. MySQL commits implicitly around each CREATE, ALTER, DROP and TRUNCATE: whatever came
    before such a statement stays. Statements that cannot run in a transaction (CREATE DATABASE, VACUUM), commands
    of psql, mysql and sqlite3, and COPY from the client belong in a `command.run` step.

    The `unless` query runs in a read-only transaction. If it returns a row, there is nothing to do. The exception
    is a single row of one column that is false, 0, an empty string or NULL, so that `SELECT EXISTS (...)` and
    `SELECT count(*) ...` work. It runs again after the statements, before the commit: if they are still needed
    then, they are rolled back and the step fails. A guard that queries a table that does not exist yet means
    "needed".

    Without `unless` nothing can be checked: the statements run every time and must be safe to repeat.

    Args:
        sql: the statements.
        file: path of a UTF-8 file of statements, instead of `sql`, relative to the working directory.
        unless: guard query; if it returns a row (other than a single false, 0, empty string or NULL), the
            statements are not run.

    Example:
        ```yaml
        - id: seed
          uses: database.sql
          with:
            url: ${DATABASE_URL}
            file: seed.sql
            unless: SELECT 1 FROM users WHERE name = 'admin'
        ```
    """

    kind = "database.sql"
    rights = "connect to the database, and SELECT on what `unless` reads"
    apply_rights = "what the statements need"

    sql: str | None = None
    file: str | None = None
    unless: str | None = None

    def validate(self) -> Iterator[tuple[str, str]]:
        problems = list(super().validate())
        yield from problems
        if self.unless is not None and not self.unless.strip():
            yield "unless", "unless is empty"
        elif self.unless is not None and not problems:
            guard = Script(self.unless, "unless", self.address().technology)
            yield from (("unless", problem) for problem in guard.query_problems())
        if (self.sql is None) == (self.file is None):
            yield "sql", "give either sql or file" if self.sql is None else "give either sql or file, not both"
            return
        field = "sql" if self.file is None else "file"
        try:
            text = self._text()
        except StepFailed as error:
            yield field, error.message
            return
        if not problems:
            yield from ((field, problem) for problem in self._script(text).problems())

    @property
    def verifiable(self) -> bool:
        return self.unless is not None

    def files(self) -> Sequence[str]:
        return () if self.file is None else (self.file,)

    def check(self, context: StepContext) -> Sequence[Change]:
        if self.unless is None:
            return [Change("?", self._label())]
        with driver.session(self.address(), context) as session, advised(_FIX_GUARD):
            answer = session.ask(self.unless)
        return () if answer.in_place else (Change("+", self._label(), answer.details),)

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - the interface's
        text = self._text()
        script = self._script(text)
        try:
            with driver.session(self.address(), context, create=True) as session, advised(_FIX_SCRIPT):
                session.run(script, self.unless)
        except StepError:
            # MySQL quotes the statement that it cannot read, with a password in it.
            SECRETS.add_script(text)
            raise

    def _script(self, text: str) -> Script:
        return Script(text, self.file or "sql", self.address().technology)

    def _text(self) -> str:
        if self.file is None:
            return self.sql or ""
        try:
            return read_regular_text(self.file)
        except OSError as error:
            raise StepFailed(
                f"{self.file}: {error.strerror}",
                hint="relative paths start at the working directory; is it part of the image, or mounted?",
            ) from error
        except UnicodeDecodeError as error:
            raise StepFailed(
                f"{self.file}: not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
            ) from error

    def _label(self) -> str:
        if self.file is not None:
            return f"sql {self.file}"
        # Without the text: its literals may be unknown secrets.
        count = self._script(self.sql or "").count
        return "sql" if count is None else f"sql of {count} statement{'' if count == 1 else 's'}"
