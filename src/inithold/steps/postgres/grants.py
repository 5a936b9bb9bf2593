"""Grants: which privileges of the plan's are missing, on which things."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from inithold.steps.base import Change
from inithold.steps.postgres.model import ALL, DATABASES, FUNCTIONS, PUBLIC, SCHEMAS, Grant, ObjectKind
from inithold.steps.postgres.names import quoted, shown
from inithold.steps.postgres.objects import Objects, Thing
from inithold.steps.postgres.session import Need, Session
from inithold.text.suggest import did_you_mean

_NAMED = 10
"""Things of a schema that a change names."""


def needs(session: Session, grants: Sequence[Grant], roles: Collection[str]) -> Iterator[Need]:
    """What has to be granted.

    Args:
        session: to ask.
        grants: as they shall be.
        roles: that are there, or will be.
    """
    schemas = [grant.schema for grant in grants if grant.schema is not None]
    databases = [grant.database for grant in grants if grant.database is not None]
    objects = Objects(session, schemas, databases)
    for grant in grants:
        required = expanded(grant.required, objects, grant.kind)
        for grantee in grant.grantees:
            blocked = no_role(grantee, roles)
            for need in _of(grant, grantee, required, objects):
                yield need._replace(blocked=need.blocked or blocked)


def expanded(required: Sequence[str], objects: Objects, kind: ObjectKind) -> list[str]:
    """The privileges, those that `ALL` stands for among them."""
    return objects.every_privilege(kind) if ALL in required else list(dict.fromkeys(required))


def no_role(grantee: str, roles: Collection[str]) -> str:
    """What a message says of a role that does not exist; empty where it does."""
    if grantee in PUBLIC or grantee in roles:
        return ""
    return f"there is no role {shown(grantee)}{did_you_mean(grantee, roles)}"


def missing(thing: Thing, grantee: str, required: Sequence[str]) -> tuple[str, ...]:
    """The privileges that a role, or PUBLIC, was not granted on a thing; by way of another role does not count."""
    holder = None if grantee in PUBLIC else grantee
    return tuple(privilege for privilege in required if (holder, privilege) not in thing.held)


def recipient(grantee: str) -> str:
    """A role in GRANT."""
    return "PUBLIC" if grantee in PUBLIC else quoted(grantee)


def listed(privileges: Sequence[str]) -> str:
    """Privileges for people."""
    return ", ".join(privilege.lower() for privilege in privileges)


def to(grantee: str) -> str:
    """A role for people."""
    return "PUBLIC" if grantee in PUBLIC else shown(grantee)


def _of(grant: Grant, grantee: str, required: Sequence[str], objects: Objects) -> Iterator[Need]:
    kind = grant.kind
    schema = "" if kind in (SCHEMAS, DATABASES) else grant.schema or ""
    if schema and not any(one.name == schema for one in objects.of(SCHEMAS)):
        things = f"all {kind.plural}" if grant.things is None else f"{kind.plural} {', '.join(grant.things)}"
        change = _change(required, f"{things} in schema {shown(schema)}", grantee)
        yield Need(change, "", f"there is no schema {shown(schema)}")
    elif grant.things is None:
        yield from _on_all(kind, schema, grantee, required, objects)
    else:
        for name in grant.things:
            yield from _on_one(kind, schema, name, grantee, required, objects)


def _on_all(
    kind: ObjectKind, schema: str, grantee: str, required: Sequence[str], objects: Objects
) -> Iterator[Need]:
    lacking: dict[tuple[str, ...], list[Thing]] = {}
    for thing in objects.of(kind, schema):
        if thing.by_all and (privileges := missing(thing, grantee, required)):
            lacking.setdefault(privileges, []).append(thing)
    for privileges, things in lacking.items():
        named = ", ".join(thing.shown for thing in things[:_NAMED])
        more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
        change = _change(privileges, f"all {kind.plural} in schema {shown(schema)}", grantee, f"{named}{more}")
        yield Need(change, _statement(kind, things, grantee, privileges))


def _on_one(
    kind: ObjectKind, schema: str, name: str, grantee: str, required: Sequence[str], objects: Objects
) -> Iterator[Need]:
    things = _named(kind, schema, name, objects)
    if not things:
        place = f" in schema {shown(schema)}" if schema else ""
        written = name if kind == FUNCTIONS else shown(name)
        known = [
            f"{thing.name}({thing.arguments})" if "(" in name else thing.name for thing in objects.of(kind, schema)
        ]
        near = did_you_mean(name, known)
        change = _change(required, f"{kind.word} {written}{place}", grantee)
        yield Need(change, "", f"there is no {kind.word} {written}{place}{near}")
    for thing in things:
        if privileges := missing(thing, grantee, required):
            change = _change(privileges, f"{kind.word} {thing.shown}", grantee)
            yield Need(change, _statement(kind, [thing], grantee, privileges))


def _named(kind: ObjectKind, schema: str, name: str, objects: Objects) -> list[Thing]:
    """What a name of the plan means: of a function without its arguments every one of that name."""
    bare, opened, arguments = name.partition("(") if kind == FUNCTIONS else (name, "", "")
    overloads = [thing for thing in objects.of(kind, schema) if thing.name == bare.strip()]
    if not opened or not overloads:
        return overloads
    types = objects.argument_types(arguments.rstrip().removesuffix(")"))
    return [thing for thing in overloads if thing.arguments == types]


def _change(privileges: Sequence[str], what: str, grantee: str, *details: str) -> Change:
    return Change("+", f"grant {listed(privileges)} on {what} to {to(grantee)}", details)


def _statement(kind: ObjectKind, things: Sequence[Thing], grantee: str, privileges: Sequence[str]) -> str:
    # A procedure is no function to GRANT; both are routines.
    word = "ROUTINE" if kind == FUNCTIONS else kind.word.upper()
    names = ", ".join(thing.sql for thing in things)
    return f"GRANT {', '.join(privileges)} ON {word} {names} TO {recipient(grantee)}"
