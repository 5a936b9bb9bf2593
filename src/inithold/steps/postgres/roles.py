"""postgres.roles"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from inithold.errors import StepFailed
from inithold.steps.base import Change, StepContext
from inithold.steps.database.kinds import Database as AnyDatabase
from inithold.steps.postgres import attributes, defaults, grants, passwords
from inithold.steps.postgres.model import DefaultPrivileges, Grant, Role
from inithold.steps.postgres.session import Need, Session, session

_LISTS: dict[str, Any] = {
    "roles": list[Role],
    "grants": list[Grant],
    "default_privileges": list[DefaultPrivileges],
}


class Roles(AnyDatabase, frozen=True, kw_only=True):
    """Make PostgreSQL roles, with their passwords, memberships and what they may do.

    All that is missing is made in one transaction, as the user of `url`. Nothing is ever dropped or revoked: a
    role that may do more than the plan says stays as it is, and the log names each attribute that the plan denies
    (`login: false`) and the role has. Attributes that the plan does not give are left alone. Names are taken as
    they are stored, capitals and all.

    Passwords are sent as SCRAM-SHA-256 verifiers, computed on this side: no clear password is in a statement that
    the server may log. A password may also be given as such a verifier. Where `pg_authid` may be read, the stored
    one is compared; a password stored as MD5 is replaced. Where it may not be read, the role logs in with its
    password to prove it. What cannot be proved so (a role that may not log in, a server that does not ask) is set
    in every run, `plan` marks it with `?`, and gates and verification leave it out.

    Grants compare what was granted to the very role: what it may do by being a superuser or a member of another
    role does not count. `all` is what is in the schema when the step runs; views, foreign tables and partitioned
    tables are tables. For what comes later there are default privileges: they hold for what the role named by
    `for` makes. A grant on something that does not exist fails the step, so let the step follow the one that makes
    it.

    Args:
        url: `postgresql://user:password@host:5432/database`, user and password percent-encoded. Grants and default
            privileges are those of this database.
        host: name or address of the server, instead of `url`.
        port: its port, 5432 if absent.
        user: who connects: a superuser, or a role with CREATEROLE that may grant what the plan lists.
        password: of the user, as it is.
        database: name of the database.
        roles: each with `name`, and as wanted `password`, `login` (in a new role true if it has a password),
            `superuser`, `createdb`, `createrole`, `bypassrls`, `replication`, `inherit`, `connection_limit` (-1
            for none) and `member_of`, the roles it is a member of.
        grants: each with `to` (a role, several, or `PUBLIC`) and `privileges` (`ALL` for every one there is), on a
            `schema`; on `tables`, `sequences` or `functions` of the schema, which are `all` or a list of names (of
            functions with or without the types of their arguments: `add(integer, integer)`); or on a `database`.
        default_privileges: each with `on` (`tables`, `sequences`, `functions`, `types` or `schemas`), `to` and
            `privileges`, `for` the role that makes them (the user of `url` if absent), in a `schema` (every one
            if absent).

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
        "to connect to the database. For passwords SELECT on the columns rolname and rolpassword of pg_authid, "
        "which superusers have; without it each role with a password logs in itself. To apply, CREATEROLE for "
        "roles, and for grants to own the objects or to hold the privileges WITH GRANT OPTION; or a superuser"
    )

    roles: list[Role] = msgspec.field(default_factory=list)
    grants: list[Grant] = msgspec.field(default_factory=list)
    default_privileges: list[DefaultPrivileges] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in _LISTS:
            try:
                self._typed(name)
            except msgspec.ValidationError as error:
                raise ValueError(f"{name}: {error}") from None

    def technologies(self) -> Sequence[str]:
        return ("postgresql",)

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        if not any(getattr(self, name) for name in _LISTS):
            yield "roles", f"give one of {', '.join(_LISTS)}"
        names: set[str] = set()
        for name in _LISTS:
            for index, item in enumerate(self._typed(name)):
                for part, message in item.faults():
                    yield f"{name}[{index}].{part}", message
        for index, role in enumerate(self._roles):
            if role.name in names:
                yield f"roles[{index}].name", f"there is another role {role.name!r}"
            names.add(role.name)

    def check(self, context: StepContext) -> Sequence[Change]:
        with session(self.address(), context) as asked:
            there = attributes.present(asked)
            needs = [*self._catalogued(asked, there), *self._passwords(asked, context, there)]
            # Said once in a run: the last check is the one that finds nothing left to do.
            if all(need.change.op == "?" for need in needs):
                for line in attributes.excess(self._roles, there):
                    context.log(line, level="warning")
        return [need.change for need in needs]

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - looked up again
        with session(self.address(), context, tell=True) as own:
            there = attributes.present(own)
            needs = [*self._catalogued(own, there), *self._passwords(own, context, there)]
            _refuse_blocked(needs)
            own.run("BEGIN", "roles")
            for need in needs:
                own.run(need.statement, need.change.what)
            _verify(self._catalogued(own, attributes.present(own)))
            own.run("COMMIT", "roles")

    def _catalogued(self, asked: Session, there: dict[str, attributes.Present]) -> Iterator[Need]:
        """What is missing of all that everybody may read."""
        known = {*there, *(role.name for role in self._roles)}
        yield from attributes.needs(asked, self._roles, there)
        yield from grants.needs(asked, self._typed("grants"), known)
        yield from defaults.needs(asked, self._typed("default_privileges"), known)

    def _passwords(
        self, asked: Session, context: StepContext, there: dict[str, attributes.Present]
    ) -> Iterator[Need]:
        return passwords.needs(asked, self.address(), context, self._roles, there)

    @property
    def _roles(self) -> list[Role]:
        return self._typed("roles")

    def _typed(self, name: str) -> list[Any]:
        """A list of the plan; in one written in Python it may hold plain dictionaries."""
        value: list[Any] = getattr(self, name)
        if all(isinstance(item, msgspec.Struct) for item in value):
            return value
        typed: list[Any] = msgspec.convert(value, _LISTS[name], strict=False)
        return typed


def _refuse_blocked(needs: Sequence[Need]) -> None:
    blocked = [f"{need.change.what}: {need.blocked}" for need in needs if need.blocked]
    if blocked:
        raise StepFailed(
            "\n".join(blocked), hint="let this step follow the one that makes it; nothing was changed"
        )


def _verify(left: Iterator[Need]) -> None:
    """PostgreSQL only warns of a privilege that the user cannot pass on."""
    refused = [need.change.what for need in left]
    if refused:
        raise StepFailed(
            f"PostgreSQL did not do it: {'; '.join(refused)}: rolled back",
            hint="the user of url must own these, or hold the privileges WITH GRANT OPTION; or be a superuser",
        )
