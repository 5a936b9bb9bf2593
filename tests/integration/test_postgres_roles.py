"""postgres.roles on a real PostgreSQL: roles, attributes, memberships and passwords."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from changing import changed_once, lines, replicas_at_once
from golden import assert_golden
from inithold.errors import Rejected
from inithold.steps.postgres import Role, Roles
from inithold.steps.postgres.roles import is_stored
from inithold.testing import Driven, check, drive
from servers.ports import closed_port
from servers.postgresql import PostgreSQL

SECRET = "pw-nobody-may-see"
OTHER = "pw-of-somebody-else"
New = Callable[[str], str]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server whose roles are these tests' own."""
    with PostgreSQL() as own:
        yield own


@pytest.fixture
def new() -> New:
    """Makes names of roles that no other test has."""
    return lambda name: f"{name}_{uuid4().hex[:8]}"


def is_golden(case: str, driven: Driven, **varying: str) -> None:
    assert driven.outcome == "failed", driven
    assert SECRET not in "\n".join([driven.reason, *driven.log])
    assert_golden(f"postgresql/{case}", driven.reason, driven.finished.hint, varying=varying)


def logs_in(server: PostgreSQL, name: str, password: str) -> bool:
    try:
        with psycopg.connect(server.dsn(user=name, password=password)) as connection:
            return connection.execute("SELECT current_user").fetchone() == (name,)
    except psycopg.OperationalError:
        return False


def verifier(password: str) -> str:
    handle = psycopg.pq.PGconn.connect_start(b"host=/nowhere")
    return handle.encrypt_password(password.encode(), b"", b"scram-sha-256").decode()


def stored(server: PostgreSQL, name: str) -> str | None:
    found: str | None = server.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{name}'")[0][0]
    return found


# -- roles, attributes, memberships


def test_a_role_is_made_once(server: PostgreSQL, new: New) -> None:
    app, readers = new("app"), new("readers")
    roles = [
        Role(name=app, password=SECRET, createdb=True, inherit=False, connection_limit=5, member_of=readers),
        Role(name=readers),
    ]
    driven = changed_once(Roles(url=server.dsn(), roles=roles))
    assert driven.changes == (f"+ role {app}", f"+ role {readers}", f"+ membership of {app} in {readers}")
    assert driven.finished.changes[0].details == (
        "createdb, login, noinherit, connection_limit 5, with a password",
    )
    columns = "rolcanlogin, rolcreatedb, rolinherit, rolconnlimit, rolsuper"
    assert server.execute(f"SELECT {columns} FROM pg_roles WHERE rolname = '{app}'") == [
        (True, True, False, 5, False)
    ]
    assert server.execute(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{readers}'") == [(False,)]
    assert server.execute(f"SELECT pg_has_role('{app}', '{readers}', 'MEMBER')") == [(True,)]
    assert logs_in(server, app, SECRET)


ATTRIBUTES = {
    "login": "LOGIN",
    "superuser": "SUPERUSER",
    "createdb": "CREATEDB",
    "createrole": "CREATEROLE",
    "bypassrls": "BYPASSRLS",
    "replication": "REPLICATION",
    "inherit": "INHERIT",
}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_attribute_is_given_and_never_taken(server: PostgreSQL, new: New, attribute: str) -> None:
    name = new("app")
    server.execute(f"CREATE ROLE {name} NOINHERIT")
    given = Roles(url=server.dsn(), roles=[Role(name=name, **{attribute: True})])
    assert changed_once(given).changes == (f"~ role {name}: {attribute} no -> yes",)

    denied = Roles(url=server.dsn(), roles=[Role(name=name, **{attribute: False})])
    driven = drive(denied)
    assert driven.outcome == "unchanged", "a role with more rights than wanted is left"
    assert driven.log == (f"role {name} has {attribute}, and the plan says no: it is left as it is",)
    assert lines(given) == []


def test_what_the_plan_does_not_give_is_left_alone(server: PostgreSQL, new: New) -> None:
    name = new("app")
    server.execute(f"CREATE ROLE {name} LOGIN CREATEDB CONNECTION LIMIT 3 PASSWORD '{SECRET}'")
    driven = drive(Roles(url=server.dsn(), roles=[Role(name=name)]))
    assert (driven.outcome, driven.log) == ("unchanged", ())
    assert logs_in(server, name, SECRET)


def test_the_connection_limit_is_altered(server: PostgreSQL, new: New) -> None:
    name = new("app")
    server.execute(f"CREATE ROLE {name}")
    assert changed_once(Roles(url=server.dsn(), roles=[Role(name=name, connection_limit=0)])).changes == (
        f"~ role {name}: connection_limit -1 -> 0",
    )
    assert changed_once(Roles(url=server.dsn(), roles=[Role(name=name, connection_limit=-1)])).changes == (
        f"~ role {name}: connection_limit 0 -> -1",
    )


def test_memberships(server: PostgreSQL, new: New) -> None:
    app, one = new("app"), new("one")
    server.execute(f"CREATE ROLE {app}")
    server.execute(f"CREATE ROLE {one} ROLE {app}")
    step = Roles(url=server.dsn(), roles=[Role(name=app, member_of=[one, "pg_read_all_data"])])
    assert changed_once(step).changes == (f"+ membership of {app} in pg_read_all_data",)


def test_odd_names(server: PostgreSQL, new: New) -> None:
    odd = new('App "x"; DROP ROLE admin; -- é\\')
    step = Roles(
        url=server.dsn(),
        roles=[Role(name=odd, password=SECRET, member_of=[odd.upper()[:50]]), Role(name=odd.upper()[:50])],
    )
    driven = changed_once(step)
    assert driven.changes[0] == '+ role "{}"'.format(odd.replace('"', '""'))
    assert logs_in(server, odd, SECRET)
    assert server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'admin'") == [(1,)]


def test_everything_or_nothing(server: PostgreSQL, new: New) -> None:
    app = new("app")
    step = Roles(url=server.dsn(), roles=[Role(name=app), Role(name=new("b"), member_of="nobody_at_all")])
    driven = drive(step)
    is_golden("roles-unknown-group", driven, **{step.roles[1].name: "batch"})
    assert server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{app}'") == []
    # What only the server finds is rolled back, too.
    one, two = new("one"), new("two")
    circle = Roles(url=server.dsn(), roles=[Role(name=one, member_of=two), Role(name=two, member_of=one)])
    is_golden("roles-circle", drive(circle), **{one: "one", two: "two"})
    assert server.execute(f"SELECT 1 FROM pg_roles WHERE rolname IN ('{one}', '{two}')") == []


# -- passwords

PASSWORDS = [
    "sesame",
    'it\'s \\ "odd" $1 %s',
    "p\u00a0\u2168 é",
    "I\u00adX",
    "\u0627\u0628",
    "\u0627b",
    "é\u0007",
    "\U0001f511 key",
    "a\u200bé",
    "\u00ad",
    "ﬁne \u212b",
    "\u0221 not assigned then",
]


@pytest.mark.parametrize("password", PASSWORDS, ids=ascii)
def test_verifiers_are_the_servers_own(server: PostgreSQL, new: New, password: str) -> None:
    theirs, ours = new("theirs"), new("ours")
    server.create_user(theirs, password)
    value = stored(server, theirs)
    assert value is not None
    assert is_stored(password, value)
    assert not is_stored(f"{password}x", value)
    assert lines(Roles(url=server.dsn(), roles=[Role(name=theirs, password=password)])) == []
    changed_once(Roles(url=server.dsn(), roles=[Role(name=ours, password=password)]))
    assert logs_in(server, ours, password)


@pytest.mark.parametrize(
    ("before", "difference"),
    [
        (f"PASSWORD '{OTHER}'", "another -> the plan's"),
        ("PASSWORD NULL", "none -> set"),
        ("PASSWORD 'md5a3556571e93b0d20722ba62be61e8c2d'", "not SCRAM -> SCRAM-SHA-256"),
    ],
)
def test_a_password_is_changed(server: PostgreSQL, new: New, before: str, difference: str) -> None:
    name = new("app")
    server.execute(f"CREATE ROLE {name} LOGIN {before}")
    step = Roles(url=server.dsn(), roles=[Role(name=name, password=SECRET)])
    assert changed_once(step).changes == (f"~ role {name}: password {difference}",)
    assert logs_in(server, name, SECRET)


def test_a_verifier_in_the_plan(server: PostgreSQL, new: New) -> None:
    name = new("app")
    given = verifier(SECRET)
    changed_once(Roles(url=server.dsn(), roles=[Role(name=name, password=given)]))
    assert stored(server, name) == given
    assert logs_in(server, name, SECRET)
    changed_once(Roles(url=server.dsn(), roles=[Role(name=name, password=verifier(OTHER))]))
    assert logs_in(server, name, OTHER)


@pytest.fixture
def plain(server: PostgreSQL, new: New) -> Iterator[str]:
    """The URL of a role that may connect, and nothing else."""
    name = new("plain")
    server.create_user(name, "pw-of-plain")
    yield server.dsn(user=name, password="pw-of-plain")


@pytest.fixture
def creator(server: PostgreSQL, new: New) -> str:
    """The URL of a role that may make roles and cannot read passwords."""
    name = new("creator")
    server.create_user(name, "pw-of-creator")
    server.execute(f"ALTER ROLE {name} CREATEROLE")
    return server.dsn(user=name, password="pw-of-creator")


def test_a_password_that_cannot_be_read_is_proved_by_logging_in(
    server: PostgreSQL, new: New, creator: str
) -> None:
    name = new("app")
    changed_once(Roles(url=creator, roles=[Role(name=name, password=SECRET)]))
    step = Roles(url=creator, roles=[Role(name=name, password=OTHER)])
    assert changed_once(step).changes == (f"~ role {name}: password another -> the plan's",)
    assert logs_in(server, name, OTHER)


def test_a_role_that_may_not_connect_to_the_database_has_proved_its_password(
    server: PostgreSQL, new: New, plain: str
) -> None:
    name, database = new("app"), server.create_database().rpartition("/")[2]
    server.create_user(name, SECRET)
    user = plain.partition("//")[2].partition(":")[0]
    server.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    server.execute(f"GRANT CONNECT ON DATABASE {database} TO {user}")
    url = f"{plain.rpartition('/')[0]}/{database}"
    assert lines(Roles(url=url, roles=[Role(name=name, password=SECRET)])) == []
    assert lines(Roles(url=url, roles=[Role(name=name, password=OTHER)])) == [
        f"~ role {name}: password another -> the plan's"
    ]


def test_what_cannot_be_seen_is_said_and_done_each_time(server: PostgreSQL, new: New, creator: str) -> None:
    name = new("batch")
    step = Roles(url=creator, roles=[Role(name=name, password=SECRET, login=False)])
    assert drive(step).outcome == "changed"
    (change,) = check(step)
    assert str(change) == f"? password of role {name}"
    assert change.details == ("pg_authid may not be read, and the role may not log in",)
    before = stored(server, name)
    assert drive(step).outcome == "changed"
    assert stored(server, name) != before, "set anew, with another salt"
    assert drive(step, wait=True).outcome == "unchanged", "a gate leaves it out"
    given = Roles(url=creator, roles=[Role(name=name, password=verifier(SECRET), login=True)])
    assert lines(given)[-1] == f"? password of role {name}"


def test_a_server_that_does_not_ask_proves_nothing(new: New) -> None:
    with PostgreSQL() as trusting:
        trusting.create_user("plain", "pw-of-plain")
        trusting.create_user("app", OTHER)
        trusting.create_user("barred", OTHER)
        rules = trusting.folder / "data" / "pg_hba.conf"
        rules.write_text(
            f"host all app 127.0.0.1/32 trust\nhost all barred 127.0.0.1/32 reject\n{rules.read_text()}"
        )
        trusting.execute("SELECT pg_reload_conf()")
        url = trusting.dsn(user="plain", password="pw-of-plain")
        roles = [Role(name="app", password=SECRET), Role(name="barred", password=SECRET)]
        found = check(Roles(url=url, roles=roles))
    assert [str(change) for change in found] == ["? password of role app", "? password of role barred"]
    assert found[0].details[0].endswith("the server lets the role in without asking for it")
    assert "pg_hba.conf rejects connection" in found[1].details[0]


def test_the_rights_of_the_check(server: PostgreSQL, new: New, plain: str) -> None:
    """To connect suffices; with SELECT on two columns nobody has to log in."""
    app, batch = new("app"), new("batch")
    server.execute(f"CREATE ROLE {batch} BYPASSRLS PASSWORD '{SECRET}'")
    server.execute(f"CREATE ROLE {app} LOGIN PASSWORD '{SECRET}' IN ROLE {batch}")
    step = Roles(url=plain, roles=[Role(name=app, password=SECRET, login=True, member_of=batch)])
    assert lines(step) == []
    reading = Roles(url=plain, roles=[*step.roles, Role(name=batch, password=SECRET, bypassrls=True)])
    assert lines(reading) == [f"? password of role {batch}"]
    user = plain.partition("//")[2].partition(":")[0]
    server.execute(f"GRANT SELECT (rolname, rolpassword) ON pg_authid TO {user}")
    try:
        assert lines(reading) == []
    finally:
        server.execute(f"REVOKE SELECT (rolname, rolpassword) ON pg_authid FROM {user}")


# -- what goes wrong


def test_too_few_rights(server: PostgreSQL, new: New, plain: str, creator: str) -> None:
    # Their words differ from version to version of the server.
    for url, role in ((plain, Role(name=new("app"))), (creator, Role(name=new("app"), bypassrls=True))):
        driven = drive(Roles(url=url, roles=[role]))
        assert (driven.outcome, driven.finished.attempts) == ("failed", 1)
        assert driven.reason.startswith(f"role {role.name}: ")
        assert "permission denied" in driven.reason or "must be superuser" in driven.reason
        assert (
            driven.finished.hint == "the user of url may not do that: connect as one that may, or as a superuser"
        )


def test_a_rejected_login(server: PostgreSQL) -> None:
    driven = drive(Roles(url=server.dsn(password="pw-that-is-wrong"), roles=[Role(name="app", password=SECRET)]))
    assert (driven.outcome, driven.finished.attempts) == ("failed", 1)
    assert "password authentication failed" in driven.reason
    with pytest.raises(Rejected):
        check(Roles(url=server.dsn("nowhere"), roles=[Role(name="app")]))


def test_a_server_that_is_not_up() -> None:
    with closed_port() as port:
        url = f"postgresql://admin:{SECRET}@127.0.0.1:{port}/postgres"
        driven = drive(Roles(url=url, roles=[Role(name="app", password=SECRET)]), timeout=0.5)
    assert driven.waited_for == (f"127.0.0.1:{port}: connection refused",)
    with PostgreSQL() as late:
        late.stop()
        threading.Timer(0.7, late.start_without_waiting).start()
        driven = drive(Roles(url=late.dsn(), roles=[Role(name="app", password=SECRET)]))
    assert driven.outcome == "changed"
    assert driven.waited_for


def test_replicas_at_once(server: PostgreSQL, new: New) -> None:
    names = [new("app") for _ in range(6)]
    roles = [Role(name=name, password=SECRET, member_of="pg_monitor") for name in names]
    replicas_at_once(Roles(url=server.dsn(), roles=roles))
