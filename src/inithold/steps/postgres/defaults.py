"""Default privileges: what is granted on things that a role will make."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from inithold.steps.base import Change
from inithold.steps.postgres.grants import expanded, listed, missing, no_role, recipient, to
from inithold.steps.postgres.model import SEQUENCES, DefaultPrivileges
from inithold.steps.postgres.names import quoted, shown
from inithold.steps.postgres.objects import Objects, Thing, acl, held
from inithold.steps.postgres.session import Need, Session

# For every schema, what is there replaces PostgreSQL's own defaults; for one schema it comes on top.
# https://www.postgresql.org/docs/current/catalog-pg-default-acl.html
_PRESENT = f"""
SELECT w.number, {
    acl('''coalesce(d.defaclacl, CASE WHEN w.schema IS NULL
         THEN pg_catalog.acldefault((CASE w.type WHEN 'S' THEN 's' ELSE w.type END)::"char", r.oid) END)''')
}
FROM pg_catalog.json_to_recordset($1::json) AS w(number int, owner text, schema text, type text)
JOIN pg_catalog.pg_roles r ON r.rolname = w.owner
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
LEFT JOIN pg_catalog.pg_default_acl d ON d.defaclrole = r.oid AND d.defaclobjtype = w.type::"char"
  AND d.defaclnamespace = CASE WHEN w.schema IS NULL THEN 0 ELSE n.oid END
"""  # noqa: S608 - of constants
_SCHEMAS = """
SELECT nspname FROM pg_catalog.pg_namespace
WHERE nspname = ANY ($1::text[])
"""
_ME = "SELECT current_user"


def needs(session: Session, defaults: Sequence[DefaultPrivileges], roles: Collection[str]) -> Iterator[Need]:
    """What has to be granted by default.

    Args:
        session: to ask.
        defaults: as they shall be.
        roles: that are there, or will be.
    """
    if not defaults:
        return
    ((me,),) = session.rows(_ME)
    owners = [entry.owner or me or "" for entry in defaults]
    present = _present(session, defaults, owners)
    named = sorted({entry.schema for entry in defaults if entry.schema is not None})
    schemas = {row[0] for row in session.rows(_SCHEMAS, named)}
    objects = Objects(session, (), ())
    for entry, owner, thing in zip(defaults, owners, present, strict=True):
        required = expanded(entry.required, objects, entry.kind)
        no_schema = "" if entry.schema is None or entry.schema in schemas else shown(entry.schema)
        for grantee in entry.grantees:
            if privileges := missing(thing, grantee, required):
                blocked = no_role(owner, roles) or no_role(grantee, roles)
                need = _need(entry, owner, grantee, privileges)
                yield need._replace(blocked=f"there is no schema {no_schema}" if no_schema else blocked)


def _present(session: Session, defaults: Sequence[DefaultPrivileges], owners: Sequence[str]) -> list[Thing]:
    asked = [
        {
            "number": number,
            "owner": owner,
            "schema": entry.schema,
            "type": "S" if entry.kind == SEQUENCES else entry.kind.acl,
        }
        for number, (entry, owner) in enumerate(zip(defaults, owners, strict=True))
    ]
    rights = {number: held(pairs) for number, pairs in session.rows(_PRESENT, json.dumps(asked))}
    return [Thing("", "", "", rights.get(number, frozenset())) for number in range(len(defaults))]


def _need(entry: DefaultPrivileges, owner: str, grantee: str, privileges: Sequence[str]) -> Need:
    place = "" if entry.schema is None else f" in schema {shown(entry.schema)}"
    inside = "" if entry.schema is None else f" IN SCHEMA {quoted(entry.schema)}"
    kind = entry.kind.plural
    change = Change(
        "+", f"default privileges for {shown(owner)}{place}: {listed(privileges)} on {kind} to {to(grantee)}"
    )
    statement = (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)}{inside}"
        f" GRANT {', '.join(privileges)} ON {kind.upper()} TO {recipient(grantee)}"
    )
    return Need(change, statement)
