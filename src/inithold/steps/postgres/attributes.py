"""Roles, their attributes and memberships: what is there, and what has to be made or altered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from inithold.redaction.redact import SECRETS
from inithold.steps.base import Change
from inithold.steps.postgres.model import Role
from inithold.steps.postgres.names import literal, quoted, shown
from inithold.steps.postgres.session import Need, Session

_COLUMNS = {
    "login": "rolcanlogin",
    "superuser": "rolsuper",
    "createdb": "rolcreatedb",
    "createrole": "rolcreaterole",
    "bypassrls": "rolbypassrls",
    "replication": "rolreplication",
    "inherit": "rolinherit",
}
_ROLES = f"""
SELECT rolname, rolconnlimit, {", ".join(_COLUMNS.values())}
FROM pg_catalog.pg_roles
"""  # noqa: S608 - of constants
# From version 16 on a membership may be one that gives nothing: the right to make others a member.
_MEMBERSHIPS = """
SELECT m.rolname, g.rolname
FROM pg_catalog.pg_auth_members a
JOIN pg_catalog.pg_roles m ON m.oid = a.member
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
WHERE m.rolname = ANY ($1::text[])
  AND (coalesce((pg_catalog.to_jsonb(a) ->> 'inherit_option')::bool, true)
    OR coalesce((pg_catalog.to_jsonb(a) ->> 'set_option')::bool, true))
"""

_VERIFIER = re.compile(r"SCRAM-SHA-256\$[1-9][0-9]{0,9}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=")


class Present(NamedTuple):
    """A role as it is.

    Attributes:
        flags: its attributes that are on or off.
        connection_limit: -1 for none.
    """

    flags: Mapping[str, bool]
    connection_limit: int


def present(session: Session) -> dict[str, Present]:
    """Every role of the server."""
    return {
        name: Present(dict(zip(_COLUMNS, values, strict=True)), limit)
        for name, limit, *values in session.rows(_ROLES)
    }


def needs(session: Session, roles: Sequence[Role], there: Mapping[str, Present]) -> Iterator[Need]:
    """What has to be made or altered of roles; their passwords are another matter unless they are new.

    Args:
        session: to ask.
        roles: as they shall be.
        there: every role of the server.
    """
    for role in roles:
        current = there.get(role.name)
        yield from [_creation(session, role)] if current is None else _alterations(role, current)
    yield from _memberships(session, roles, there)


def excess(roles: Sequence[Role], there: Mapping[str, Present]) -> Iterator[str]:
    """What roles may do although the plan says no; nothing is taken away."""
    for role in roles:
        if (current := there.get(role.name)) is not None:
            for flag, value in role.flags.items():
                if current.flags[flag] and not value:
                    yield f"role {shown(role.name)} has {flag}, and the plan says no: it is left as it is"


def is_verifier(password: str) -> bool:
    """Whether a password is given as PostgreSQL stores it, SCRAM-SHA-256.

    The form is that of https://www.postgresql.org/docs/current/catalog-pg-authid.html
    """
    return _VERIFIER.fullmatch(password) is not None


def password_clause(session: Session, password: str) -> str:
    """The part of CREATE and ALTER ROLE that sets a password, by its verifier alone."""
    verifier = password if is_verifier(password) else session.verifier(password)
    SECRETS.add(verifier)
    return f"PASSWORD {literal(verifier)}"


def _creation(session: Session, role: Role) -> Need:
    words = [flag.upper() for flag, value in role.flags.items() if value and flag != "inherit"]
    details = [word.lower() for word in words]
    if role.login is None and role.password is not None:
        words.append("LOGIN")
        details.append("login")
    if role.inherit is False:
        words.append("NOINHERIT")
        details.append("noinherit")
    if role.connection_limit is not None:
        words.append(f"CONNECTION LIMIT {role.connection_limit}")
        details.append(f"connection_limit {role.connection_limit}")
    if role.password is not None:
        words.append(password_clause(session, role.password))
        details.append("with a password")
    change = Change("+", f"role {shown(role.name)}", (", ".join(details),) if details else ())
    return Need(change, " ".join([f"CREATE ROLE {quoted(role.name)}", *words]))


def _alterations(role: Role, current: Present) -> Iterator[Need]:
    label, alter = f"role {shown(role.name)}", f"ALTER ROLE {quoted(role.name)}"
    for flag, value in role.flags.items():
        if value and not current.flags[flag]:
            yield Need(Change("~", f"{label}: {flag} no -> yes"), f"{alter} {flag.upper()}")
    limit = role.connection_limit
    if limit is not None and limit != current.connection_limit:
        change = Change("~", f"{label}: connection_limit {current.connection_limit} -> {limit}")
        yield Need(change, f"{alter} CONNECTION LIMIT {limit}")


def _memberships(session: Session, roles: Sequence[Role], there: Mapping[str, Present]) -> Iterator[Need]:
    members = [role.name for role in roles if role.groups]
    held = set(session.rows(_MEMBERSHIPS, members)) if members else set()
    known = {*there, *(role.name for role in roles)}
    for role in roles:
        for group in role.groups:
            if (role.name, group) not in held:
                change = Change("+", f"membership of {shown(role.name)} in {shown(group)}")
                blocked = "" if group in known else f"there is no role {shown(group)}"
                yield Need(change, f"GRANT {quoted(group)} TO {quoted(role.name)}", blocked)
