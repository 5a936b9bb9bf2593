"""mysql.database: databases of MySQL and MariaDB.

Names: https://dev.mysql.com/doc/refman/8.4/en/identifiers.html, what altering does:
https://dev.mysql.com/doc/refman/8.4/en/alter-database.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing

from inithold.errors import Rejected, StepFailed
from inithold.steps.address import Address
from inithold.steps.addressed import Addressed
from inithold.steps.base import Change, StepContext
from inithold.steps.database import driver
from inithold.steps.mysql import driver as mysql
from inithold.steps.mysql.driver import MysqlSession

_WORD = re.compile(r"[A-Za-z0-9_]+")
_LONGEST = 64
_OWN = ("mysql", "information_schema", "performance_schema", "sys")
"""Databases of the server itself."""
_RIGHTS = {
    "+": "grant the user CREATE on the database; it does not see a database that it has no privilege on",
    "~": "grant the user ALTER on the database",
}
_DATABASE = """
SELECT schema_name, @@lower_case_table_names <> 0, default_character_set_name, default_collation_name
FROM information_schema.schemata WHERE schema_name = %s
"""
_BY_CONTEXT = "uca1400"
"""How MariaDB's collations begin that belong to no character set of their own."""


class Database(Addressed, frozen=True, kw_only=True):
    """Create a database on MySQL or MariaDB, with its default character set and collation.

    The step waits for the server and logs in without selecting a database, so the one in the URL need not exist
    yet; put a `database.ready` for it after this step. A missing database is created. Defaults that differ from
    the plan are altered; those the plan leaves out stay as they are. Nothing is ever dropped.

    The defaults apply to new tables: existing tables keep their character set and data until a migration converts
    them with `ALTER TABLE ... CONVERT TO`.

    For users and grants, use `database.sql` with `CREATE USER IF NOT EXISTS` and `GRANT`.

    Args:
        url: `mysql://user:password@host:3306/database`, as in `database.ready`.
        host: name or address of the server, instead of `url`.
        port: port of the server; 3306 if absent.
        user: user to connect as, with CREATE on the database to create it and ALTER to alter it.
        database: name of the database, if `name` is absent.
        name: name of the database, without quotes; the one in the URL if absent.
        character_set: default for new tables, such as `utf8mb4`; in a new database, the server's if absent.
        collation: default for new tables, such as `utf8mb4_unicode_ci`; the character set's default if absent.

    Example:
        ```yaml
        - id: database
          uses: mysql.database
          with:
            url: mysql://root:${secret:mysql_root|url}@db/games
            character_set: utf8mb4
            collation: utf8mb4_unicode_ci
        ```
    """

    kind = "mysql.database"
    rights = "log in, with SHOW DATABASES or any privilege on the database; otherwise it is not visible"
    apply_rights = "CREATE on the database to create it, ALTER to change its defaults"

    technologies = ("mysql",)
    libraries = ("pymysql.constants",)

    name: str | None = None
    character_set: str | None = None
    collation: str | None = None

    def extras(self) -> Sequence[str]:
        return driver.EXTRAS["mysql"]

    def subject(self) -> str:
        try:
            return self.address()._replace(database=self._name or None).shown
        except ValueError:
            return ""

    def validate_address(self, address: Address) -> Iterator[tuple[str, str]]:
        name = (address.database or "") if self.name is None else self.name
        field = "url" if self.name is None and self.url is not None else "name"
        if not name:
            yield field, "the name of the database is missing: give name, or a url with it"
        elif name.lower() in _OWN:
            yield field, f"{name} is the server's own database: give the name of yours with name"
        elif len(name) > _LONGEST:
            yield field, f"the name of the database is longer than {_LONGEST} characters"
        elif name.endswith(" ") or any(not 0 < ord(character) < 0x10000 for character in name):
            yield field, "a name of a database does not end in a space and has no characters beyond U+FFFF"

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        for field in ("character_set", "collation"):
            value = getattr(self, field)
            if value is not None and not _WORD.fullmatch(value):
                yield field, f"{value!r} is not a name: expected letters, digits and underscores"
        if self.character_set is None and (self.collation or "").lower().startswith(_BY_CONTEXT):
            yield "collation", f"{self.collation} belongs to no character set of its own: give character_set, too"

    def check(self, context: StepContext) -> Sequence[Change]:
        name = self._name
        # In MySQL and MariaDB, a collation's name begins with that of its character set.
        character_set = self.character_set or (self.collation or "").partition("_")[0]
        expected: dict[str, str] = {}
        with closing(self._session(context)) as session:
            if character_set:
                # Under the server's names: `utf8` may be `utf8mb3`. It refuses those that it does not have.
                text = f"CONVERT('' USING {character_set})"
                collated = f"{text} COLLATE {self.collation}" if self.collation else text
                ((known_set, known_collation),) = session.rows(f"SELECT CHARSET({text}), COLLATION({collated})")
                expected = {"character set": known_set} if self.character_set else {}
                expected |= {"collation": known_collation} if self.collation else {}
            rows = session.rows(_DATABASE, name)
        # The query may compare without case although database names on this server have case.
        current = [row for row in rows if row[0] == name or (row[1] and row[0].lower() == name.lower())]
        if not current:
            return (Change("+", f"database {name}", tuple(f"{what} {value}" for what, value in expected.items())),)
        actual = dict(zip(("character set", "collation"), current[0][2:], strict=True))
        differences = [
            f"{what} {actual[what]} -> {value}" for what, value in expected.items() if actual[what] != value
        ]
        if not differences:
            return ()
        kept = "for tables made from now on: those that exist keep theirs"
        return (Change("~", f"database {name}: {', '.join(differences)}", (kept,)),)

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        options = "".join(
            f" {option} {value}"
            for option, value in (("CHARACTER SET", self.character_set), ("COLLATE", self.collation))
            if value is not None
        )
        quoted = "`" + self._name.replace("`", "``") + "`"
        with closing(self._session(context)) as session:
            for change in changes:
                # IF NOT EXISTS, as it may be created meanwhile; the check afterwards compares it.
                verb = "CREATE DATABASE IF NOT EXISTS" if change.op == "+" else "ALTER DATABASE"
                try:
                    session.change(f"{verb} {quoted}{options}")
                except Rejected as error:
                    raise StepFailed(error.message, hint=_RIGHTS[change.op]) from error

    @property
    def _name(self) -> str:
        return self.name if self.name is not None else self.address().database or ""

    def _session(self, context: StepContext) -> MysqlSession:
        # Without a database: the server would refuse one that does not exist yet.
        return mysql.open_session(self.address()._replace(database=None), context)
