"""What a plan says of roles: the roles themselves, grants, and default privileges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from inithold.redaction.redact import SECRETS
from inithold.steps.postgres import names
from inithold.text.suggest import did_you_mean


class ObjectKind(NamedTuple):
    """A kind of thing on which rights are granted.

    Attributes:
        word: for one of them, and in GRANT.
        plural: for all of them, in plans and in ALTER DEFAULT PRIVILEGES.
        acl: how PostgreSQL's function `acldefault` calls it.
        privileges: those there are; `ALL` stands for what the server has.
    """

    word: str
    plural: str
    acl: str
    privileges: tuple[str, ...]


# https://www.postgresql.org/docs/current/ddl-priv.html
_OF_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
TABLES = ObjectKind("table", "tables", "r", _OF_TABLES)
SEQUENCES = ObjectKind("sequence", "sequences", "s", ("USAGE", "SELECT", "UPDATE"))
FUNCTIONS = ObjectKind("function", "functions", "f", ("EXECUTE",))
SCHEMAS = ObjectKind("schema", "schemas", "n", ("USAGE", "CREATE"))
DATABASES = ObjectKind("database", "databases", "d", ("CONNECT", "CREATE", "TEMPORARY"))
TYPES = ObjectKind("type", "types", "T", ("USAGE",))
DEFAULTED = {kind.plural: kind for kind in (TABLES, SEQUENCES, FUNCTIONS, TYPES, SCHEMAS)}
"""What default privileges are there for."""
ALL = "ALL"
"""Every privilege there is for a kind of thing; as text instead of a list, every thing of a schema."""
_SPELLINGS = {"TEMP": "TEMPORARY", "ALL PRIVILEGES": ALL}
PUBLIC = ("public", "PUBLIC")
"""Every role there is and will be; no role can have this name."""
_FLAGS = ("login", "superuser", "createdb", "createrole", "bypassrls", "replication", "inherit")
_Faults = Iterator[tuple[str, str]]


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role; what is absent is left as it is, and in a new role as PostgreSQL has it.

    Args:
        name: as it is stored, such as `app`.
        password: as it is, or as a SCRAM-SHA-256 verifier.
        login: whether it may log in.
        superuser: whether it may do anything.
        createdb: whether it may create databases.
        createrole: whether it may create roles.
        bypassrls: whether row-level security leaves it alone.
        replication: whether it may start replication.
        inherit: whether it has the privileges of the roles that it is a member of.
        connection_limit: how many connections it may have at a time; -1 for no limit.
        member_of: roles that it is a member of.
    """

    name: str
    password: str | None = None
    login: bool | None = None
    superuser: bool | None = None
    createdb: bool | None = None
    createrole: bool | None = None
    bypassrls: bool | None = None
    replication: bool | None = None
    inherit: bool | None = None
    connection_limit: int | None = None
    member_of: str | list[str] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.password is not None:
            SECRETS.add(self.password, public=[self.name])

    @property
    def flags(self) -> dict[str, bool]:
        """The attributes that are on or off, as far as the plan gives them."""
        given = {flag: getattr(self, flag) for flag in _FLAGS}
        return {flag: value for flag, value in given.items() if value is not None}

    @property
    def groups(self) -> list[str]:
        """The roles it is a member of."""
        return _listed(self.member_of)

    def faults(self) -> _Faults:
        """What is wrong with it, as (field, message)."""
        if fault := names.fault(self.name):
            yield "name", fault
        elif self.name in (*PUBLIC, "none") or self.name.startswith("pg_"):
            yield "name", f"{self.name!r} is a name that PostgreSQL keeps for itself"
        if self.password is not None:
            if not self.password:
                yield "password", "the password is empty; leave it out where the role is to have none"
            if "\0" in self.password:
                yield "password", "a password cannot hold a NUL character"
        if self.connection_limit is not None and self.connection_limit < -1:
            yield "connection_limit", "expected a number from 0 on, or -1 for no limit"
        for group in self.groups:
            if fault := names.fault(group):
                yield "member_of", fault
            elif group == self.name:
                yield "member_of", "a role cannot be a member of itself"

    def __repr__(self) -> str:
        # A repr ends up in tracebacks and logs.
        return f"Role({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("", self.name)]


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Privileges on a schema, on things in it, or on a database, given to roles.

    Args:
        to: roles that get them.
        privileges: such as `SELECT`, or `ALL`.
        schema: the schema, or that of the tables, sequences or functions.
        tables: names, or `all`.
        sequences: names, or `all`.
        functions: names with their argument types, or `all`.
        database: instead of a schema.
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
        """What the privileges are on."""
        inside = {TABLES: self.tables, SEQUENCES: self.sequences, FUNCTIONS: self.functions}
        given = [kind for kind, value in inside.items() if value is not None]
        return given[0] if given else SCHEMAS if self.database is None else DATABASES

    @property
    def things(self) -> list[str] | None:
        """Names of what the privileges are on; None for all there are in the schema."""
        kind = self.kind
        if kind in (SCHEMAS, DATABASES):
            return _listed(self.schema or self.database or "")
        given: str | list[str] = getattr(self, kind.plural)
        # A table of the name `all` is written [all].
        return None if isinstance(given, str) and given.upper() == ALL else _listed(given)

    @property
    def grantees(self) -> list[str]:
        """The roles that get them."""
        return _listed(self.to)

    @property
    def required(self) -> list[str]:
        """The privileges as PostgreSQL spells them."""
        return _spelt(self.privileges)

    def faults(self) -> _Faults:
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
    """Privileges on what a role will make from now on, given to roles.

    Args:
        on: what is made: `tables`, `sequences`, `functions`, `types` or `schemas`.
        to: roles that get the privileges.
        privileges: such as `SELECT`, or `ALL`.
        owner: the role that makes things; the user who connects if absent.
        schema: that they are made in; any if absent.
    """

    on: str
    to: str | list[str]
    privileges: str | list[str]
    owner: str | None = None
    schema: str | None = None

    @property
    def kind(self) -> ObjectKind:
        """What the privileges will be on."""
        return DEFAULTED[self.on]

    @property
    def grantees(self) -> list[str]:
        """The roles that get them."""
        return _listed(self.to)

    @property
    def required(self) -> list[str]:
        """The privileges as PostgreSQL spells them."""
        return _spelt(self.privileges)

    def faults(self) -> _Faults:
        """What is wrong with it, as (field, message)."""
        yield from _name_faults("to", self.to)
        for field, name in (("for", self.owner), ("schema", self.schema)):
            if name is not None:
                yield from _name_faults(field, name)
        if self.on not in DEFAULTED:
            yield "on", f"expected {' or '.join(DEFAULTED)}{did_you_mean(self.on, DEFAULTED)}"
            return
        if self.kind == SCHEMAS and self.schema is not None:
            yield "schema", "a schema is in no other: leave schema out"
        yield from _privilege_faults(self.privileges, self.kind)


def _privilege_faults(given: str | Sequence[str], kind: ObjectKind) -> _Faults:
    if not given:
        yield "privileges", "privileges is empty"
    known = (*kind.privileges, ALL)
    for index, name in enumerate([given] if isinstance(given, str) else given):
        if _spelt(name)[0] not in known:
            field = "privileges" if isinstance(given, str) else f"privileges[{index}]"
            near = did_you_mean(name.upper(), known) or f"; there are {', '.join(known)}"
            yield field, f"{name!r} is no privilege on a {kind.word}{near}"


def _name_faults(field: str, given: str | Sequence[str]) -> _Faults:
    if not given:
        yield field, f"{field} is empty"
        return
    for index, name in enumerate([given] if isinstance(given, str) else given):
        if fault := names.fault(name.partition("(")[0] if field == "functions" else name):
            yield field if isinstance(given, str) else f"{field}[{index}]", fault


def _spelt(given: str | Sequence[str]) -> list[str]:
    plain = [" ".join(name.upper().split()) for name in ([given] if isinstance(given, str) else given)]
    return [_SPELLINGS.get(name, name) for name in plain]


def _listed(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
