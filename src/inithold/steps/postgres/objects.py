"""What there is in a database that rights are granted on, and who has which rights on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inithold.steps.postgres.model import DATABASES, FUNCTIONS, SCHEMAS, SEQUENCES, ObjectKind
from inithold.steps.postgres.names import quoted, shown
from inithold.steps.postgres.session import Session

Held = frozenset[tuple[str | None, str]]
"""Pairs of a role, None for PUBLIC, and a privilege."""


class Thing(NamedTuple):
    """A schema, table, sequence, function or database.

    Attributes:
        name: as it is stored.
        sql: how a statement names it.
        shown: how people name it.
        held: who has which rights on it, the owner's own among them.
        arguments: types of a function's, as the server writes them.
        by_all: whether `all` means it, too.
    """

    name: str
    sql: str
    shown: str
    held: Held
    arguments: str = ""
    by_all: bool = True


def acl(column: str) -> str:
    """SQL that lists an access control list as JSON pairs."""
    return f"""
(SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(
   CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type)), '[]')
 FROM pg_catalog.aclexplode({column}) a)"""  # noqa: S608 - of constants


def held(pairs: Iterable[tuple[str | None, str]]) -> Held:
    """What a column of `acl` says."""
    return frozenset((grantee, privilege) for grantee, privilege in pairs)


_NAMES = "ANY ($1::text[])"
_DATABASES = f"""
SELECT datname, {acl("coalesce(datacl, pg_catalog.acldefault('d', datdba))")}
FROM pg_catalog.pg_database WHERE datname = {_NAMES}
"""  # noqa: S608 - of constants
_SCHEMAS = f"""
SELECT nspname, {acl("coalesce(nspacl, pg_catalog.acldefault('n', nspowner))")}
FROM pg_catalog.pg_namespace WHERE nspname = {_NAMES}
"""  # noqa: S608 - of constants
# Views, materialized views, foreign and partitioned tables are tables to GRANT.
_RELATIONS = f"""
SELECT n.nspname, c.relname, c.relkind = 'S',
  {
    acl('''coalesce(c.relacl, pg_catalog.acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char",
                                                   c.relowner))''')
}
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {_NAMES} AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
ORDER BY 1, 2
"""  # noqa: S608 - of constants
# ALL FUNCTIONS are aggregates and window functions, too, but not procedures.
_ROUTINES = f"""
SELECT n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes), p.prokind <> 'p',
  {acl("coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))")}
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = {_NAMES}
ORDER BY 1, 2, 3
"""  # noqa: S608 - of constants
_TYPES = "SELECT pg_catalog.format_type(pg_catalog.to_regtype($1), NULL)"
_EVERY = 'SELECT DISTINCT privilege_type FROM pg_catalog.aclexplode(pg_catalog.acldefault($1::"char", 10))'


class Objects:
    """The objects of a database that a plan may mean.

    Args:
        session: to ask.
        schemas: whose contents may be asked for.
        databases: that may be asked for.
    """

    def __init__(self, session: Session, schemas: Iterable[str], databases: Iterable[str]) -> None:
        self._session = session
        self._wanted = {SCHEMAS: sorted(set(schemas)), DATABASES: sorted(set(databases))}
        self._found: dict[tuple[ObjectKind, str], list[Thing]] = {}
        self._loaded: set[ObjectKind] = set()

    def of(self, kind: ObjectKind, schema: str = "") -> Sequence[Thing]:
        """The things of a kind in a schema; schemas and databases are in none."""
        if kind not in self._loaded:
            self._load(kind)
        return self._found.get((kind, schema), [])

    def every_privilege(self, kind: ObjectKind) -> list[str]:
        """The privileges that this server has for a kind."""
        return sorted(row[0] for row in self._session.rows(_EVERY, kind.acl))

    def argument_types(self, written: str) -> str | None:
        """Types of arguments as the server writes them: `int,text` is `integer, text`; None if one is unknown."""
        types = [one.strip() for one in written.split(",") if one.strip()]
        known = [self._session.rows(_TYPES, one)[0][0] for one in types]
        return None if None in known else ", ".join(one or "" for one in known)

    def _load(self, kind: ObjectKind) -> None:
        self._loaded.add(kind)
        if kind in (SCHEMAS, DATABASES):
            query = _SCHEMAS if kind == SCHEMAS else _DATABASES
            for name, rights in self._session.rows(query, self._wanted[kind]):
                self._add(kind, "", Thing(name or "", quoted(name or ""), shown(name or ""), held(rights)))
        elif kind == FUNCTIONS:
            self._load_routines()
        else:
            self._load_relations(kind)

    def _load_routines(self) -> None:
        for schema, name, arguments, by_all, rights in self._session.rows(_ROUTINES, self._schemas):
            sql = f"{_sql(schema, name)}({arguments})"
            text = f"{_shown(schema, name)}({arguments})"
            thing = Thing(name or "", sql, text, held(rights), arguments or "", by_all)
            self._add(FUNCTIONS, schema, thing)

    def _load_relations(self, kind: ObjectKind) -> None:
        for schema, name, is_sequence, rights in self._session.rows(_RELATIONS, self._schemas):
            if (kind == SEQUENCES) == is_sequence:
                self._add(kind, schema, Thing(name or "", _sql(schema, name), _shown(schema, name), held(rights)))

    @property
    def _schemas(self) -> list[str]:
        return self._wanted[SCHEMAS]

    def _add(self, kind: ObjectKind, schema: str | None, thing: Thing) -> None:
        self._found.setdefault((kind, schema or ""), []).append(thing)


def _sql(schema: str | None, name: str | None) -> str:
    return f"{quoted(schema or '')}.{quoted(name or '')}"


def _shown(schema: str | None, name: str | None) -> str:
    return f"{shown(schema or '')}.{shown(name or '')}"
