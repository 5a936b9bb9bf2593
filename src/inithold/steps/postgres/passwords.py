"""Whether roles have the passwords of the plan: read where that is allowed, else proved by logging in.

Stored passwords are compared and never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from inithold.errors import StepFailed
from inithold.steps.address import Address
from inithold.steps.base import Change, StepContext
from inithold.steps.postgres.attributes import Present, is_verifier, password_clause
from inithold.steps.postgres.connection import connect
from inithold.steps.postgres.model import Role
from inithold.steps.postgres.names import quoted, shown
from inithold.steps.postgres.session import Need, Session
from inithold.steps.postgres.verdicts import RefusedConnection

_MAY_READ = """
SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolname', 'SELECT')
   AND pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')
"""
_STORED = """
SELECT rolname, rolpassword FROM pg_catalog.pg_authid
WHERE rolname = ANY ($1::text[])
"""
_WRONG = "28P01"
_NOT_THE_DATABASE = "42501"
"""The role may not connect to this database: the server says so once it has accepted the password."""
_ANOTHER = "another -> the plan's"


def needs(
    session: Session, address: Address, context: StepContext, roles: Sequence[Role], there: Mapping[str, Present]
) -> Iterator[Need]:
    """The passwords that have to be set, of roles that are there.

    Args:
        session: to ask.
        address: where roles log in to prove their password.
        context: of the step.
        roles: as they shall be.
        there: every role of the server.
    """
    with_password = [role for role in roles if role.password is not None and role.name in there]
    if not with_password:
        return
    if session.rows(_MAY_READ) == [(True,)]:
        stored = session.pairs(_STORED, [role.name for role in with_password])
        differences = {role.name: _compared(role, stored.get(role.name)) for role in with_password}
    else:
        # A role that cannot log in yet may do so once this step is done, and is asked then.
        differences = {role.name: _tried(role, address, context, there[role.name]) for role in with_password}
    for role in with_password:
        if (change := differences[role.name]) is not None:
            clause = password_clause(session, role.password or "")
            yield Need(change, f"ALTER ROLE {quoted(role.name)} {clause}")


def _compared(role: Role, stored: str | None) -> Change | None:
    if stored is None:
        return _change(role, "none -> set")
    if is_stored(role.password or "", stored):
        return None
    return _change(role, _ANOTHER if is_verifier(stored) else "not SCRAM -> SCRAM-SHA-256")


def is_stored(password: str, stored: str) -> bool:
    """Whether what the server has stored is a password's verifier; `password` may be one, too."""
    # Where there are passwords to compare, and not before: these are slow to import.
    import base64  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    from inithold.steps.postgres.refusal import prepared, scram_keys  # noqa: PLC0415

    if is_verifier(password) or not is_verifier(stored):
        return hmac.compare_digest(password.encode(), stored.encode())
    _, iterations, salt, stored_key, server_key = re.split(r"[$:]", stored)
    keys = [scram_keys(one, base64.b64decode(salt), int(iterations)) for one in {password, prepared(password)}]
    known = base64.b64decode(stored_key) + base64.b64decode(server_key)
    return any(hmac.compare_digest(mine + servers, known) for _, mine, servers in keys)


def _tried(role: Role, address: Address, context: StepContext, current: Present) -> Change | None:
    if is_verifier(role.password or ""):
        return _unseen(role, "the plan has its verifier, with which nobody can log in")
    if not current.flags["login"]:
        return _unseen(role, "the role may not log in")
    query = tuple((name, value) for name, value in address.query if name not in ("user", "password", "passfile"))
    try:
        connection = connect(address._replace(user=role.name, password=role.password, query=query), context)
    except StepFailed as error:
        code = error.sqlstate if isinstance(error, RefusedConnection) else ""
        if code == _WRONG:
            return _change(role, _ANOTHER)
        return None if code == _NOT_THE_DATABASE else _unseen(role, f"logging in fails: {error.message}")
    asked = connection.raw.pgconn.used_password
    connection.close()
    return None if asked else _unseen(role, "the server lets the role in without asking for it")


def _change(role: Role, difference: str) -> Change:
    return Change("~", f"role {shown(role.name)}: password {difference}")


def _unseen(role: Role, why: str) -> Change:
    """What cannot be checked is done in every run."""
    return Change("?", f"password of role {shown(role.name)}", (f"pg_authid may not be read, and {why}",))
