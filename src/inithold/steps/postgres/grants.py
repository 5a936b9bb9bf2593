"""Privileges: how a plan describes them, and which are missing on the server."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec

from inithold.steps.base import Change
from inithold.steps.postgres.connection import Connection
from inithold.steps.postgres.sql import Need, fault, quoted, shown
from inithold.text.suggest import did_you_mean

ALL = "ALL"
"""All privileges of a kind of object; as a text instead of a list of names, all objects of a schema."""
PUBLIC = ("public", "PUBLIC")
"""All present and future roles; no role can have this name."""
_SPELLINGS = {"TEMP": "TEMPORARY", "ALL PRIVILEGES": ALL}
_SHOWN = 10
"""Maximum number of objects that a change names."""
# An access control list as JSON pairs of a role, null for PUBLIC, and a privilege.
_ACL = """
(SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(
   CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type)), '[]')
 FROM pg_catalog.aclexplode({}) a)"""
# Entries without a schema replace PostgreSQL's own defaults; those of a schema add to them.
# https://www.postgresql.org/docs/current/catalog-pg-default-acl.html
_DEFAULTS = f"""
SELECT $2::text IS NULL OR n.oid IS NOT NULL, {
    _ACL.format('''coalesce(d.defaclacl, CASE WHEN $2::text IS NULL
         THEN pg_catalog.acldefault((CASE $3 WHEN 'S' THEN 's' ELSE $3 END)::"char", r.oid) END)''')
}
FROM (SELECT 1) AS always
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = $1
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $2
LEFT JOIN pg_catalog.pg_default_acl d ON d.defaclrole = r.oid AND d.defaclobjtype = $3::"char"
  AND d.defaclnamespace = CASE WHEN $2::text IS NULL THEN 0 ELSE n.oid END
"""  # noqa: S608 - of constants
_TYPE = "SELECT pg_catalog.format_type(pg_catalog.to_regtype($1), NULL)"
_EVERY_PRIVILEGE = """
SELECT DISTINCT privilege_type FROM pg_catalog.aclexplode(pg_catalog.acldefault($1::"char", 10)) ORDER BY 1
"""


class ObjectKind(NamedTuple):
    """A kind of object on which privileges are granted.

    Attributes:
        word: the singular, as in GRANT.
        plural: as in plans and in ALTER DEFAULT PRIVILEGES.
        acl: its letter for PostgreSQL's function `acldefault`.
        privileges: all that exist; `ALL` means those that the server has.
        query: lists the objects of schema `$1` (empty for objects without one): name, argument types of a
            function, whether `ALL ... IN SCHEMA` includes it, access control list.
    """

    word: str
    plural: str
    acl: str
    privileges: tuple[str, ...]
    query: str = ""


def _query(columns: str, acl: str, default: str, source: str) -> str:
    acl = _ACL.format(f"coalesce({acl}, pg_catalog.acldefault({default}))")
    return f"SELECT {columns}, {acl} FROM pg_catalog.{source} ORDER BY 1, 2"  # noqa: S608 - of constants


def _relations(default: str, kinds: str) -> str:
    source = f"""pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ({kinds})"""
    return _query("relname, '', true", "relacl", f"'{default}', relowner", source)


# https://www.postgresql.org/docs/current/ddl-priv.html
TABLES = ObjectKind(
    "table",
    "tables",
    "r",
    ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    # GRANT treats views, materialized views, foreign and partitioned tables as tables.
    _relations("r", "'r', 'v', 'm', 'f', 'p'"),
)
SEQUENCES = ObjectKind("sequence", "sequences", "s", ("USAGE", "SELECT", "UPDATE"), _relations("s", "'S'"))
FUNCTIONS = ObjectKind(
    "function",
    "functions",
    "f",
    ("EXECUTE",),
    # ALL FUNCTIONS includes aggregates and window functions, but not procedures.
    _query(
        "proname, pg_catalog.oidvectortypes(proargtypes), prokind <> 'p'",
        "proacl",
        "'f', proowner",
        "pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1",
    ),
)
SCHEMAS = ObjectKind(
    "schema",
    "schemas",
    "n",
    ("USAGE", "CREATE"),
    _query("nspname, '', true", "nspacl", "'n', nspowner", "pg_namespace WHERE $1 = ''"),
)
DATABASES = ObjectKind(
    "database",
    "databases",
    "d",
    ("CONNECT", "CREATE", "TEMPORARY"),
    _query("datname, '', true", "datacl", "'d', datdba", "pg_database WHERE $1 = ''"),
)
TYPES = ObjectKind("type", "types", "T", ("USAGE",))
_DEFAULTED = {kind.plural: kind for kind in (TABLES, SEQUENCES, FUNCTIONS, TYPES, SCHEMAS)}


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Grants privileges on a schema, on objects in it, or on a database.

    Args:
        to: roles to grant them to.
        privileges: such as `SELECT`, or `ALL`.
        schema: the schema, or the one that contains the tables, sequences or functions.
        tables: names, or `all`.
        sequences: names, or `all`.
        functions: names, with or without argument types, or `all`.
        database: name of a database, instead of a schema.
    """

    to: str | list[str]
    privileges: str | list[str]
    schema: str | None = None
    tables: str | list[str] | None = None
    sequences: str | list[str] | None = None
    functions: str | list[str] | None = None
    database: str | None = None

    @property
    def kind(self) -> ObjectKind:
        """The kind of object that the privileges are on."""
        for kind in (TABLES, SEQUENCES, FUNCTIONS):
            if getattr(self, kind.plural) is not None:
                return kind
        return SCHEMAS if self.database is None else DATABASES

    @property
    def objects(self) -> list[str] | None:
        """Names of the objects; None for all objects of the schema."""
        kind = self.kind
        if kind in (SCHEMAS, DATABASES):
            return [self.schema or self.database or ""]
        given: str | list[str] = getattr(self, kind.plural)
        # A table named `all` is written [all].
        return None if isinstance(given, str) and given.upper() == ALL else as_list(given)

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong with it, as (field, message)."""
        yield from _name_faults("to", self.to)
        given = [kind.plural for kind in (TABLES, SEQUENCES, FUNCTIONS) if getattr(self, kind.plural) is not None]
        given += ["database"] if self.database is not None else []
        if len(given) > 1:
            yield given[1], f"give one of {' and '.join(given)}; each needs an entry of its own"
            return
        if self.schema is None and self.database is None:
            yield "schema", "schema is missing"
        if self.schema is not None and self.database is not None:
            yield "database", "a database is in no schema: give either"
        for field in ("schema", *given):
            if getattr(self, field) is not None:
                yield from _name_faults(field, getattr(self, field))
        yield from _privilege_faults(self.privileges, self.kind)


class DefaultPrivileges(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"owner": "for"}
):
    """Grants privileges on objects that a role creates from now on.

    Args:
        on: type of object: `tables`, `sequences`, `functions`, `types` or `schemas`.
        to: roles to grant the privileges to.
        privileges: such as `SELECT`, or `ALL`.
        owner: role that creates the objects; the user who connects if absent.
        schema: schema they are created in; any schema if absent.
    """

    on: str
    to: str | list[str]
    privileges: str | list[str]
    owner: str | None = None
    schema: str | None = None

    @property
    def kind(self) -> ObjectKind:
        """The kind of object that the privileges will be on."""
        return _DEFAULTED[self.on]

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong with it, as (field, message)."""
        yield from _name_faults("to", self.to)
        for field, name in (("for", self.owner), ("schema", self.schema)):
            if name is not None:
                yield from _name_faults(field, name)
        if self.on not in _DEFAULTED:
            yield "on", f"expected {' or '.join(_DEFAULTED)}{did_you_mean(self.on, _DEFAULTED)}"
            return
        if self.kind == SCHEMAS and self.schema is not None:
            yield "schema", "a schema is in no other: leave schema out"
        yield from _privilege_faults(self.privileges, self.kind)


def as_list(given: str | Sequence[str]) -> list[str]:
    """Return one name or several as a list."""
    return [given] if isinstance(given, str) else list(given)


def _name_faults(field: str, given: str | Sequence[str]) -> Iterator[tuple[str, str]]:
    if not given:
        yield field, f"{field} is empty"
    for index, name in enumerate(as_list(given) if given else ()):
        if message := fault(name.partition("(")[0] if field == "functions" else name):
            yield field if isinstance(given, str) else f"{field}[{index}]", message


def _privilege_faults(given: str | Sequence[str], kind: ObjectKind) -> Iterator[tuple[str, str]]:
    if not given:
        yield "privileges", "privileges is empty"
    known = (*kind.privileges, ALL)
    for index, name in enumerate(as_list(given)):
        if _spelt(name) not in known:
            field = "privileges" if isinstance(given, str) else f"privileges[{index}]"
            near = did_you_mean(name.upper(), known) or f"; there are {', '.join(known)}"
            yield field, f"{name!r} is no privilege on a {kind.word}{near}"


def _spelt(privilege: str) -> str:
    plain = " ".join(privilege.upper().split())
    return _SPELLINGS.get(plain, plain)


class _Object(NamedTuple):
    """A schema, table, sequence, function or database, and who has which privileges on it."""

    name: str
    arguments: str
    by_all: bool
    sql: str
    shown: str
    held: Sequence[Sequence[str | None]]


class _Objects:
    """The objects of a database, read lazily by kind and schema."""

    def __init__(self, connection: Connection) -> None:
        self._rows = connection.rows
        self._known: dict[tuple[ObjectKind, str], list[_Object]] = {}

    def of(self, kind: ObjectKind, schema: str = "") -> list[_Object]:
        """Return the objects of a kind in a schema; schemas and databases are in none."""
        if (kind, schema) not in self._known:
            self._known[kind, schema] = objects = []
            for name, arguments, by_all, held in self._rows(kind.query, schema):
                sql, text = (
                    f"{write(schema)}.{write(name)}" if schema else write(name) for write in (quoted, shown)
                )
                ending = f"({arguments})" if kind == FUNCTIONS else ""
                objects.append(_Object(name, arguments, by_all, sql + ending, text + ending, held))
        return self._known[kind, schema]

    def named(self, kind: ObjectKind, schema: str, name: str) -> list[_Object]:
        """Return the objects with this name; a function without argument types means all overloads."""
        bare, opened, arguments = name.partition("(") if kind == FUNCTIONS else (name, "", "")
        objects = [one for one in self.of(kind, schema) if one.name == bare.strip()]
        if not opened or not objects:
            return objects
        # In the server's spelling: `int,text` becomes `integer, text`.
        types = [one.strip() for one in arguments.rstrip().removesuffix(")").split(",") if one.strip()]
        known = [self._rows(_TYPE, one)[0][0] for one in types]
        return [one for one in objects if None not in known and one.arguments == ", ".join(known)]

    def privileges(self, given: str | Sequence[str], kind: ObjectKind) -> list[str]:
        """Return privileges in PostgreSQL's spelling, with `ALL` expanded for this server."""
        spelt = list(dict.fromkeys(map(_spelt, as_list(given))))
        return [name for (name,) in self._rows(_EVERY_PRIVILEGE, kind.acl)] if ALL in spelt else spelt


def grant_needs(connection: Connection, grants: Sequence[Grant], roles: Collection[str]) -> Iterator[Need]:
    """Yield the statements for missing grants; `roles` are those that exist or will be created."""
    objects = _Objects(connection)
    for grant in grants:
        privileges = objects.privileges(grant.privileges, grant.kind)
        for grantee in as_list(grant.to):
            for need in _grant_needs(grant, privileges, grantee, objects):
                yield need._replace(blocked=need.blocked or _no_role(grantee, roles))


def _grant_needs(grant: Grant, privileges: Sequence[str], grantee: str, objects: _Objects) -> Iterator[Need]:
    kind = grant.kind
    schema = "" if kind in (SCHEMAS, DATABASES) else grant.schema or ""
    place = f" in schema {shown(schema)}" if schema else ""

    def change(missing: Sequence[str], what: str, *details: str) -> Change:
        return Change("+", f"grant {', '.join(missing).lower()} on {what} to {_shown(grantee)}", details)

    def statement(missing: Sequence[str], names: str) -> str:
        # For GRANT a procedure is not a function; ROUTINE means both.
        word = "ROUTINE" if kind == FUNCTIONS else kind.word.upper()
        return f"GRANT {', '.join(missing)} ON {word} {names} TO {_recipient(grantee)}"

    if schema and not objects.named(SCHEMAS, "", schema):
        what = f"all {kind.plural}" if grant.objects is None else f"{kind.plural} {', '.join(grant.objects)}"
        yield Need(change(privileges, f"{what}{place}"), "", f"there is no schema {shown(schema)}")
    elif grant.objects is None:
        lacking: dict[tuple[str, ...], list[_Object]] = {}
        for one in objects.of(kind, schema):
            if one.by_all and (missing := _missing(one.held, grantee, privileges)):
                lacking.setdefault(missing, []).append(one)
        for missing, some in lacking.items():
            more = f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else ""
            details = f"{', '.join(one.shown for one in some[:_SHOWN])}{more}"
            names = ", ".join(one.sql for one in some)
            yield Need(change(missing, f"all {kind.plural}{place}", details), statement(missing, names))
    else:
        for name in grant.objects:
            some = objects.named(kind, schema, name)
            if not some:
                what = f"{kind.word} {name if kind == FUNCTIONS else shown(name)}{place}"
                known = [
                    f"{one.name}({one.arguments})" if "(" in name else one.name for one in objects.of(kind, schema)
                ]
                # For a schema or database no suggestion: the others belong to other applications.
                near = did_you_mean(name, known) if schema else ""
                yield Need(change(privileges, what), "", f"there is no {what}{near}")
            for one in some:
                if missing := _missing(one.held, grantee, privileges):
                    yield Need(change(missing, f"{kind.word} {one.shown}"), statement(missing, one.sql))


def default_needs(
    connection: Connection, defaults: Sequence[DefaultPrivileges], roles: Collection[str]
) -> Iterator[Need]:
    """Yield the statements for missing default privileges; see `grant_needs`."""
    objects = _Objects(connection)
    me = connection.rows("SELECT current_user")[0][0] if defaults else ""
    for entry in defaults:
        kind, owner, schema = entry.kind, entry.owner or me, entry.schema
        ((schema_exists, held),) = connection.rows(
            _DEFAULTS, owner, schema, "S" if kind == SEQUENCES else kind.acl
        )
        place, inside = (
            ("", "") if schema is None else (f" in schema {shown(schema)}", f" IN SCHEMA {quoted(schema)}")
        )
        for grantee in as_list(entry.to):
            missing = _missing(held, grantee, objects.privileges(entry.privileges, kind))
            if not missing:
                continue
            what = f"default privileges for {shown(owner)}{place}: {', '.join(missing).lower()} on {kind.plural}"
            statement = (
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)}{inside}"
                f" GRANT {', '.join(missing)} ON {kind.plural.upper()} TO {_recipient(grantee)}"
            )
            no_schema = "" if schema_exists else f"there is no schema {shown(schema or '')}"
            blocked = no_schema or _no_role(owner, roles) or _no_role(grantee, roles)
            yield Need(Change("+", f"{what} to {_shown(grantee)}"), statement, blocked)


def _missing(held: Sequence[Sequence[str | None]], grantee: str, privileges: Sequence[str]) -> tuple[str, ...]:
    """Return the privileges not granted to the role or PUBLIC itself; those of other roles do not count."""
    holder = None if grantee in PUBLIC else grantee
    return tuple(privilege for privilege in privileges if [holder, privilege] not in held)


def _no_role(name: str, roles: Collection[str]) -> str:
    if name in PUBLIC or name in roles:
        return ""
    return f"there is no role {shown(name)}{did_you_mean(name, roles)}"


def _recipient(grantee: str) -> str:
    return "PUBLIC" if grantee in PUBLIC else quoted(grantee)


def _shown(grantee: str) -> str:
    return "PUBLIC" if grantee in PUBLIC else shown(grantee)
