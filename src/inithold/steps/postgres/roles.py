"""postgres.roles"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from inithold.errors import StepFailed
from inithold.redaction.redact import SECRETS
from inithold.steps.base import Change, StepContext, convert_fields
from inithold.steps.database.driver import Database as AnyDatabase
from inithold.steps.postgres.connection import Connection, connect, explained, open_session
from inithold.steps.postgres.grants import PUBLIC, DefaultPrivileges, Grant, as_list, default_needs, grant_needs
from inithold.steps.postgres.sql import Need, fault, literal, quoted, shown
from inithold.steps.postgres.verdicts import RefusedConnection

_FLAGS = {
    "login": "rolcanlogin",
    "superuser": "rolsuper",
    "createdb": "rolcreatedb",
    "createrole": "rolcreaterole",
    "bypassrls": "rolbypassrls",
    "replication": "rolreplication",
    "inherit": "rolinherit",
}
_ROLES = f"SELECT rolname, {', '.join(_FLAGS.values())}, rolconnlimit FROM pg_catalog.pg_roles"  # noqa: S608 - constants
# Since version 16 a membership may give only the right to add members, but none of the role's privileges.
_MEMBERSHIPS = """
SELECT m.rolname, g.rolname
FROM pg_catalog.pg_auth_members a
JOIN pg_catalog.pg_roles m ON m.oid = a.member
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
WHERE m.rolname = ANY ($1::text[])
  AND (coalesce((pg_catalog.to_jsonb(a) ->> 'inherit_option')::bool, true)
    OR coalesce((pg_catalog.to_jsonb(a) ->> 'set_option')::bool, true))
"""
_MAY_READ_PASSWORDS = """
SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolname', 'SELECT')
   AND pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')
"""
_PASSWORDS = "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = ANY ($1::text[])"
_Present = Mapping[str, Mapping[str, Any]]
"""Roles by name, with their attributes by the names of a plan."""
_WRONG_PASSWORD = "28P01"  # noqa: S105 - a code
_ANOTHER = "another -> the plan's"
_NO_CONNECT = "42501"
"""The role may not connect to this database; the server checks that after it has accepted the password."""
# https://www.postgresql.org/docs/current/catalog-pg-authid.html
_VERIFIER = re.compile(r"SCRAM-SHA-256\$[1-9][0-9]{0,9}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=")


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role. Absent attributes stay as they are; a new role gets PostgreSQL's defaults.

    Args:
        name: as it is stored, such as `app`.
        password: in plain text, or as a SCRAM-SHA-256 verifier.
        login: whether it may log in.
        superuser: whether it is a superuser.
        createdb: whether it may create databases.
        createrole: whether it may create roles.
        bypassrls: whether it bypasses row-level security.
        replication: whether it may start replication.
        inherit: whether it inherits the privileges of the roles it is a member of.
        connection_limit: maximum number of concurrent connections; -1 for no limit.
        member_of: roles it is a member of.
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
        """The boolean attributes that the plan gives."""
        return {flag: value for flag in _FLAGS if (value := getattr(self, flag)) is not None}

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong with it, as (field, message)."""
        if message := fault(self.name):
            yield "name", message
        elif self.name in (*PUBLIC, "none") or self.name.startswith("pg_"):
            yield "name", f"{self.name!r} is a name that PostgreSQL keeps for itself"
        if self.password == "":
            yield "password", "the password is empty; leave it out where the role is to have none"
        if "\0" in (self.password or ""):
            yield "password", "a password cannot hold a NUL character"
        if self.connection_limit is not None and self.connection_limit < -1:
            yield "connection_limit", "expected a number from 0 on, or -1 for no limit"
        for group in as_list(self.member_of):
            if message := fault(group):
                yield "member_of", message
            elif group == self.name:
                yield "member_of", "a role cannot be a member of itself"

    def __repr__(self) -> str:
        # Without the password: a repr ends up in tracebacks and logs.
        return f"Role({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("", self.name)]


class Roles(AnyDatabase, frozen=True, kw_only=True):
    """Create PostgreSQL roles with passwords and memberships, and grant them privileges.

    Everything missing is created in one transaction, as the user of `url`. Nothing is ever dropped or revoked: a
    role that has more than the plan lists keeps it, and the log names each attribute that the plan denies
    (`login: false`) but the role has. Attributes that the plan does not mention stay as they are. Names are
    case-sensitive, as stored.

    Passwords are hashed on the client and sent as SCRAM-SHA-256 verifiers, so none appears in plain text in a
    statement that the server may log. The plan may also give such a verifier. If the user may read `pg_authid`,
    the stored verifier is compared, and an MD5 password is replaced. If not, inithold logs in as the role to
    verify its password. If neither works (the role may not log in, the server does not ask for a password), the
    password is set in every run, `plan` shows it with `?`, and gates and verification skip it.

    Only privileges granted to the role itself count, not those it has as a superuser or through membership. `all`
    means everything in the schema when the step runs; views, foreign tables and partitioned tables count as
    tables. For objects created later use default privileges: they apply to what the role in `for` creates. A grant
    on an object that does not exist fails the step, so put the step after the one that creates the object.

    Args:
        url: `postgresql://user:password@host:5432/database`, with user and password percent-encoded. Grants and
            default privileges apply to this database.
        user: user to connect as: a superuser, or a role with CREATEROLE that may grant what the plan lists.
        roles: each with `name` and, optionally, `password`, `login` (for a new role, true if it has a password),
            `superuser`, `createdb`, `createrole`, `bypassrls`, `replication`, `inherit`, `connection_limit` (-1
            for none) and `member_of`, the roles it is a member of.
        grants: each with `to` (a role, a list of roles, or `PUBLIC`), `privileges` (`ALL` for all of them), and
            what they are on: a `schema`; `tables`, `sequences` or `functions` of that schema, `all` or a list of
            names (of functions with or without argument types: `add(integer, integer)`); or a `database`.
        default_privileges: each with `on` (`tables`, `sequences`, `functions`, `types` or `schemas`), `to`,
            `privileges`, `for` (the role that creates the objects; the user of `url` if absent) and `schema`
            (every schema if absent).

    Example:
        ```yaml
        - id: roles
          uses: postgres.roles
          with:
            url: ${DATABASE_URL}
            roles:
              - {name: app, password: "${secret:app_password}"}
              - {name: batch, password: "${secret:batch_password}", bypassrls: true}
            grants:
              - {to: [app, batch], schema: public, privileges: [USAGE]}
              - {to: [app, batch], schema: public, tables: all, privileges: [SELECT, INSERT, UPDATE, DELETE]}
            default_privileges:
              - {schema: public, on: tables, to: [app, batch], privileges: [SELECT, INSERT, UPDATE, DELETE]}
        ```
    """

    kind = "postgres.roles"
    rights = (
        "connect to the database; for passwords, SELECT on rolname and rolpassword of pg_authid, which superusers "
        "have; without it, each role with a password logs in itself"
    )
    apply_rights = (
        "for roles, CREATEROLE and, from PostgreSQL 16 on, ADMIN OPTION on roles it alters or adds members to; "
        "for grants, own the objects or hold the privileges WITH GRANT OPTION; for default privileges, be a "
        "member of the role in `for`; for superuser and replication roles, be a superuser"
    )

    technologies = ("postgresql",)

    roles: list[Role] = msgspec.field(default_factory=list)
    grants: list[Grant] = msgspec.field(default_factory=list)
    default_privileges: list[DefaultPrivileges] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        convert_fields(self, roles=list[Role], grants=list[Grant], default_privileges=list[DefaultPrivileges])

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        lists: dict[str, Sequence[Role | Grant | DefaultPrivileges]] = {
            "roles": self.roles,
            "grants": self.grants,
            "default_privileges": self.default_privileges,
        }
        if not any(lists.values()):
            yield "roles", f"give one of {', '.join(lists)}"
        for name, items in lists.items():
            for index, item in enumerate(items):
                for part, message in item.faults():
                    yield f"{name}[{index}].{part}", message
        for index, role in enumerate(self.roles):
            if any(role.name == other.name for other in self.roles[:index]):
                yield f"roles[{index}].name", f"there is another role {role.name!r}"

    def check(self, context: StepContext) -> Sequence[Change]:
        with closing(open_session(self.address(), context)) as connection:
            present = _present(connection)
            needs = self._needs(connection, context, present)
        # Log once per run: in the last check, which finds nothing left to do.
        if all(need.change.op == "?" for need in needs):
            for role in self.roles:
                for flag, value in role.flags.items():
                    if not value and role.name in present and present[role.name][flag]:
                        excess = f"role {shown(role.name)} has {flag}, and the plan says no: it is left as it is"
                        context.log(excess, level="warning")
        return [need.change for need in needs]

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - looked up again
        with closing(open_session(self.address(), context)) as connection:
            connection.log_notices()
            needs = self._needs(connection, context, _present(connection))
            if blocked := [f"{need.change.what}: {need.blocked}" for need in needs if need.blocked]:
                hint = "let this step follow the one that makes it; nothing was changed"
                raise StepFailed("\n".join(blocked), hint=hint)
            with explained("roles"):
                connection.execute("BEGIN")
            for need in needs:
                need.run(connection)
            # PostgreSQL only warns if the user may not grant a privilege.
            if left := [need.change.what for need in self._catalog_needs(connection, _present(connection))]:
                raise StepFailed(
                    f"PostgreSQL did not do it: {'; '.join(left)}: rolled back",
                    hint="the user of url must own these, or hold the privileges WITH GRANT OPTION;"
                    " or be a superuser",
                )
            with explained("roles"):
                connection.execute("COMMIT")

    def _needs(self, connection: Connection, context: StepContext, present: _Present) -> list[Need]:
        catalog = self._catalog_needs(connection, present)
        return [*catalog, *self._password_needs(connection, context, present)]

    def _catalog_needs(self, connection: Connection, present: _Present) -> Iterator[Need]:
        """Yield the statements for what is missing in the catalogs that every user may read."""
        known = {*present, *(role.name for role in self.roles)}
        for role in self.roles:
            current = present.get(role.name)
            yield from [_creation(connection, role)] if current is None else _alterations(role, current)
        members = [role.name for role in self.roles if role.member_of]
        memberships = set(connection.rows(_MEMBERSHIPS, members)) if members else set()
        for role in self.roles:
            for group in as_list(role.member_of):
                if (role.name, group) not in memberships:
                    change = Change("+", f"membership of {shown(role.name)} in {shown(group)}")
                    blocked = "" if group in known else f"there is no role {shown(group)}"
                    yield Need(change, f"GRANT {quoted(group)} TO {quoted(role.name)}", blocked)
        yield from grant_needs(connection, self.grants, known)
        yield from default_needs(connection, self.default_privileges, known)

    def _password_needs(self, connection: Connection, context: StepContext, present: _Present) -> Iterator[Need]:
        """Yield the statements for passwords of existing roles; stored ones are compared but never shown."""
        roles = [role for role in self.roles if role.password is not None and role.name in present]
        may_read = roles and connection.rows(_MAY_READ_PASSWORDS) == [(True,)]
        names = [role.name for role in roles]
        stored: dict[str, str | None] = dict(connection.rows(_PASSWORDS, names) if may_read else ())
        for role in roles:
            password, label = role.password or "", f"role {shown(role.name)}: password"
            current = stored.get(role.name)
            change: Change | None
            if not may_read:
                # A role that may not log in yet is tried in the check after the apply.
                change = self._proved(role, context, present[role.name])
            elif current is None:
                change = Change("~", f"{label} none -> set")
            elif is_stored(password, current):
                change = None
            elif is_verifier(current):
                change = Change("~", f"{label} {_ANOTHER}")
            else:
                change = Change("~", f"{label} not SCRAM -> SCRAM-SHA-256")
            if change is not None:
                yield Need(change, f"ALTER ROLE {quoted(role.name)} {_password_clause(connection, password)}")

    def _proved(self, role: Role, context: StepContext, current: Mapping[str, Any]) -> Change | None:
        """Verify a password by logging in; if that is impossible, it is set in every run."""

        def unproved(why: str) -> Change:
            return Change("?", f"password of role {shown(role.name)}", (f"pg_authid may not be read, and {why}",))

        if is_verifier(role.password or ""):
            return unproved("the plan has its verifier, with which nobody can log in")
        if not current["login"]:
            return unproved("the role may not log in")
        address = self.address()
        query = tuple(pair for pair in address.query if pair[0] not in ("user", "password", "passfile"))
        login = address._replace(user=role.name, password=role.password, query=query)
        try:
            with closing(connect(login, context)) as connection:
                asked = connection.raw.pgconn.used_password
        except StepFailed as error:
            code = error.sqlstate if isinstance(error, RefusedConnection) else ""
            if code == _WRONG_PASSWORD:
                return Change("~", f"role {shown(role.name)}: password {_ANOTHER}")
            return None if code == _NO_CONNECT else unproved(f"logging in fails: {error.message}")
        return None if asked else unproved("the server lets the role in without asking for it")


def is_verifier(password: str) -> bool:
    """Whether a password is a SCRAM-SHA-256 verifier, as PostgreSQL stores it."""
    return _VERIFIER.fullmatch(password) is not None


def is_stored(password: str, stored: str) -> bool:
    """Whether the stored verifier is that of this password; `password` may be a verifier, too."""
    # Imported only to compare passwords, because they are slow to import.
    import base64  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    from inithold.steps.postgres.refusal import prepared, scram_keys  # noqa: PLC0415

    if is_verifier(password) or not is_verifier(stored):
        return hmac.compare_digest(password.encode(), stored.encode())
    _, iterations, salt, stored_key, server_key = re.split(r"[$:]", stored)
    keys = [scram_keys(one, base64.b64decode(salt), int(iterations)) for one in {password, prepared(password)}]
    known = base64.b64decode(stored_key) + base64.b64decode(server_key)
    return any(hmac.compare_digest(mine + servers, known) for _, mine, servers in keys)


def _password_clause(connection: Connection, password: str) -> str:
    # Hashed here, so that no statement that the server may log contains the password.
    encrypt = connection.raw.pgconn.encrypt_password
    verifier = password if is_verifier(password) else encrypt(password.encode(), b"", b"scram-sha-256").decode()
    SECRETS.add(verifier)
    return f"PASSWORD {literal(verifier)}"


def _present(connection: Connection) -> _Present:
    """Return the attributes of all roles of the server."""
    names = (*_FLAGS, "connection_limit")
    return {role: dict(zip(names, values, strict=True)) for role, *values in connection.rows(_ROLES)}


def _creation(connection: Connection, role: Role) -> Need:
    options = [flag for flag, value in role.flags.items() if value and flag != "inherit"]
    if role.login is None and role.password is not None:
        options.append("login")
    if role.inherit is False:
        options.append("noinherit")
    words, details = [option.upper() for option in options], list(options)
    if role.connection_limit is not None:
        words.append(f"CONNECTION LIMIT {role.connection_limit}")
        details.append(f"connection_limit {role.connection_limit}")
    if role.password is not None:
        words.append(_password_clause(connection, role.password))
        details.append("with a password")
    change = Change("+", f"role {shown(role.name)}", (", ".join(details),) if details else ())
    return Need(change, " ".join([f"CREATE ROLE {quoted(role.name)}", *words]))


def _alterations(role: Role, current: Mapping[str, Any]) -> Iterator[Need]:
    label, alter = f"role {shown(role.name)}", f"ALTER ROLE {quoted(role.name)}"
    for flag, value in role.flags.items():
        if value and not current[flag]:
            yield Need(Change("~", f"{label}: {flag} no -> yes"), f"{alter} {flag.upper()}")
    limit = role.connection_limit
    if limit is not None and limit != current["connection_limit"]:
        change = Change("~", f"{label}: connection_limit {current['connection_limit']} -> {limit}")
        yield Need(change, f"{alter} CONNECTION LIMIT {limit}")
