"""postgres.database"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import cast

import msgspec

from inithold.errors import StepFailed
from inithold.steps.address import Address
from inithold.steps.base import Change, StepContext, convert_fields
from inithold.steps.database.driver import Database as AnyDatabase
from inithold.steps.postgres.connection import Connection, open_session
from inithold.steps.postgres.sql import Need, fault, literal, quoted, shown
from inithold.steps.postgres.verdicts import RefusedConnection
from inithold.text.frozen import set_field
from inithold.text.suggest import did_you_mean

_PRESENT = """
SELECT pg_catalog.pg_get_userbyid(datdba), pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype
FROM pg_catalog.pg_database WHERE datname = $1
"""
_ENCODING = "SELECT pg_catalog.pg_encoding_to_char(pg_catalog.pg_char_to_encoding($1))"
_INSTALLED = """
SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
"""
_AVAILABLE = "SELECT name FROM pg_catalog.pg_available_extensions() ORDER BY 1"
_OF_EXTENSIONS = {"42704": "extensions are made in the order of the list: name the one it needs before it"}


class Extension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An extension, and the schema to create it in.

    Args:
        name: name of the extension, such as `pgcrypto`.
        schema: an existing schema; the first of the `search_path` if absent.
    """

    name: str
    schema: str | None = None


class Database(AnyDatabase, frozen=True, kw_only=True):
    """Create a PostgreSQL database, and set its owner and extensions.

    The database is the one in `url`. If it does not exist, inithold connects to `maintenance` with the same user
    and password and creates it from there.

    The owner is changed if it differs. An installed extension stays at its version. PostgreSQL cannot change the
    encoding and locale of a database, and moving an extension to another schema breaks whatever uses it: if these
    differ, the step fails and shows both sides. Nothing is ever dropped.

    The owner must be an existing role: create it with a `postgres.roles` step on the database `postgres`, before
    this one. Extensions are created in the order of the list, so put dependencies first. The user needs CREATEDB
    to create the database. To create extensions it must own the database or be a superuser, and some extensions
    require a superuser.

    Args:
        url: `postgresql://user:password@host:5432/database`, with user and password percent-encoded.
        database: name of the database to create.
        owner: role that owns it; if absent, the owner stays (for a new database, `user`).
        extensions: names, or mappings with `name` and `schema` (an existing schema; the first of the `search_path`
            if absent).
        encoding: encoding, such as `UTF8`; the template's if absent.
        locale: collation and character classification, such as `C.UTF-8`; the template's if absent.
        template: template for a new database; if absent, `template1`, or `template0` if `encoding` or `locale` is
            given, as PostgreSQL requires.
        maintenance: database to connect to while the other one does not exist.

    Example:
        ```yaml
        - id: games
          uses: postgres.database
          with:
            url: ${DATABASE_URL}
            owner: game_admin
            extensions: [pgcrypto, {name: citext, schema: public}]
        ```
    """

    kind = "postgres.database"
    rights = (
        "connect to the database and, while it does not exist, to the maintenance database; reads only catalogs "
        "that every role may read"
    )
    apply_rights = (
        "CREATEDB to create the database; CREATE on it for trusted extensions, superuser for others; to change "
        "the owner, own the database and be a member of the new owner's role"
    )

    technologies = ("postgresql",)

    owner: str | None = None
    extensions: list[str | Extension] = msgspec.field(default_factory=list)
    encoding: str | None = None
    locale: str | None = None
    template: str | None = None
    maintenance: str = "postgres"

    def __post_init__(self) -> None:
        super().__post_init__()
        convert_fields(self, extensions=list[str | Extension])
        typed = [Extension(name=one) if isinstance(one, str) else one for one in self.extensions]
        set_field(self, "extensions", typed)

    def validate_address(self, address: Address) -> Iterator[tuple[str, str]]:
        yield from super().validate_address(address)
        if not self._name:
            yield "url", "url names no database, so there is none to create"
        elif self._name == self.maintenance:
            yield "maintenance", "maintenance is the database to be created: name one that exists"

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        named = {"owner": self.owner, "template": self.template, "maintenance": self.maintenance}
        named |= {"encoding": self.encoding, "locale": self.locale}
        for index, extension in enumerate(self._extensions):
            named |= {f"extensions[{index}]": extension.name, f"extensions[{index}].schema": extension.schema}
        for field, name in named.items():
            if name is not None and (wrong := fault(name)):
                yield field, wrong

    def check(self, context: StepContext) -> Sequence[Change]:
        creation, needs = self._needs(context)
        return [need.change for need in (*creation, *needs)]

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - looked up again
        creation, needs = self._needs(context)
        for address, some in ((self._maintenance, creation), (self.address(), needs)):
            if some:
                with closing(open_session(address, context)) as connection:
                    connection.log_notices()
                    for need in some:
                        of_extensions = need.statement.startswith("CREATE EXTENSION")
                        need.run(connection, _OF_EXTENSIONS if of_extensions else None)

    def _needs(self, context: StepContext) -> tuple[list[Need], list[Need]]:
        """Return the statements needed in the maintenance database, and in the database itself."""
        try:
            with closing(open_session(self.address(), context)) as inside:
                return [], list(self._differences(inside))
        except RefusedConnection as error:
            if error.sqlstate != "3D000":  # invalid_catalog_name
                raise
            with closing(open_session(self._maintenance, context)) as outside:
                return [self._creation()], list(_extension_needs(outside, self._extensions))

    def _creation(self) -> Need:
        given = {name: getattr(self, name) for name in ("owner", "encoding", "locale", "template")}
        details = [f"{name} {value}" for name, value in given.items() if value is not None]
        template = self.template
        if template is None and (self.encoding is not None or self.locale is not None):
            template = "template0"
        options = {
            "OWNER": self.owner and quoted(self.owner),
            "TEMPLATE": template and quoted(template),
            "ENCODING": self.encoding and literal(self.encoding),
            "LC_COLLATE": self.locale and literal(self.locale),
            "LC_CTYPE": self.locale and literal(self.locale),
        }
        words = [f"{name} {value}" for name, value in options.items() if value]
        change = Change("+", f"database {shown(self._name)}", (", ".join(details),) if details else ())
        return Need(change, " ".join([f"CREATE DATABASE {quoted(self._name)}", *words]))

    def _differences(self, connection: Connection) -> Iterator[Need]:
        label = f"database {shown(self._name)}"

        def refuse_other(what: str, current: str | None, expected: str) -> None:
            if _plain(current) != _plain(expected):
                raise StepFailed(
                    f"{label} has the {what} {current}, and the plan wants {expected}:"
                    " PostgreSQL cannot change it",
                    hint="take it out of the plan, or dump the database, make a new one and restore into that",
                )

        ((owner, encoding, collate, ctype),) = connection.rows(_PRESENT, self._name)
        if self.encoding is not None:
            ((canonical,),) = connection.rows(_ENCODING, self.encoding)
            if not canonical:
                hint = "names of encodings are such as UTF8, LATIN1 or WIN1252"
                raise StepFailed(f"{label}: the server knows no encoding {self.encoding!r}", hint=hint)
            refuse_other("encoding", encoding, canonical)
        if self.locale is not None:
            refuse_other("collation", collate, self.locale)
            refuse_other("character classification", ctype, self.locale)
        if self.owner is not None and owner != self.owner:
            change = Change("~", f"{label}: owner {shown(owner or '')} -> {shown(self.owner)}")
            yield Need(change, f"ALTER DATABASE {quoted(self._name)} OWNER TO {quoted(self.owner)}")
        installed: dict[str, str] = dict(connection.rows(_INSTALLED))
        for extension in self._extensions:
            current = installed.get(extension.name)
            if current is not None and extension.schema not in (None, current):
                name, other = shown(extension.name), shown(extension.schema or "")
                raise StepFailed(
                    f"extension {name} is in schema {shown(current)}, and the plan wants {other}",
                    hint="take its schema out of the plan,"
                    f" or move it by hand: ALTER EXTENSION {name} SET SCHEMA ...",
                )
        yield from _extension_needs(connection, [one for one in self._extensions if one.name not in installed])

    @property
    def _extensions(self) -> list[Extension]:
        return cast("list[Extension]", self.extensions)

    @property
    def _name(self) -> str:
        address = self.address()
        return dict(address.query).get("dbname") or address.database or ""

    @property
    def _maintenance(self) -> Address:
        address = self.address()
        query = tuple((name, value) for name, value in address.query if name != "dbname")
        return address._replace(database=self.maintenance, query=query)


def _extension_needs(connection: Connection, missing: Sequence[Extension]) -> Iterator[Need]:
    available = [name for (name,) in connection.rows(_AVAILABLE)] if missing else []
    for extension in missing:
        if extension.name not in available:
            raise StepFailed(
                f"extension {shown(extension.name)} is not installed on the server"
                f"{did_you_mean(extension.name, available, likeness=0.8)}",
                hint="install its package where PostgreSQL runs, or take an image of PostgreSQL that has it",
            )
        schema = "" if extension.schema is None else f" SCHEMA {quoted(extension.schema)}"
        change = Change("+", f"extension {shown(extension.name)}")
        yield Need(change, f"CREATE EXTENSION {quoted(extension.name)}{schema}")


def _plain(locale: str | None) -> str:
    """Normalize the codeset of a locale: `en_US.UTF-8` and `en_US.utf8` are the same."""
    name, dot, codeset = (locale or "").partition(".")
    return f"{name}{dot}{codeset.replace('-', '').lower()}"
