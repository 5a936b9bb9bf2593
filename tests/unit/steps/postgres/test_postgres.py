"""The parts of the PostgreSQL kinds that need no server: verifiers, names, and what a plan may say."""

from __future__ import annotations

import traceback

import pytest

from inithold.errors import PlanError
from inithold.plan.load import load_text
from inithold.redaction.redact import scrub
from inithold.steps import postgres
from inithold.steps.postgres.refusal import prepared
from inithold.steps.postgres.roles import is_stored, is_verifier
from inithold.steps.postgres.sql import fault, literal, quoted, shown

# RFC 7677, section 3: user `user`, password `pencil`. Its ServerSignature and proof follow from these keys.
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
URL = "postgresql://admin@db/games"


def test_the_verifier_of_the_rfc() -> None:
    assert is_verifier(PENCIL)
    assert is_stored("pencil", PENCIL)
    assert not is_stored("Pencil", PENCIL)


@pytest.mark.parametrize(
    "stored", ["", "md5a3556571e93b0d20722ba62be61e8c2d", "SCRAM-SHA-256$4096:x", PENCIL + "="]
)
def test_what_is_no_verifier_matches_nothing(stored: str) -> None:
    assert not is_verifier(stored)
    assert not is_stored("pencil", stored)


def test_a_verifier_matches_itself_alone() -> None:
    assert is_stored(PENCIL, PENCIL)
    assert not is_stored(PENCIL, PENCIL.replace("wfPL", "wfPM"))


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        # RFC 4013, section 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # PostgreSQL has a space for a zero-width one.
        ("a\u200b\u00e9", "a \u00e9"),
        ("a\u00a0b", "a b"),
    ],
)
def test_saslprep(password: str, expected: str) -> None:
    assert prepared(password) == expected


@pytest.mark.parametrize(
    ("name", "in_sql", "for_people"),
    [
        ("app", '"app"', "app"),
        ("App", '"App"', '"App"'),
        ('a"; DROP ROLE x; --', '"a""; DROP ROLE x; --"', '"a""; DROP ROLE x; --"'),
        ("é", '"é"', '"é"'),
    ],
)
def test_names(name: str, in_sql: str, for_people: str) -> None:
    assert (quoted(name), shown(name)) == (in_sql, for_people)


@pytest.mark.parametrize(("name", "words"), [("", "empty"), ("é" * 32, "64 bytes"), ("a\0b", "NUL")])
def test_what_is_no_name(name: str, words: str) -> None:
    assert words in (fault(name) or "")
    assert fault("é" * 31) is None


def test_literals() -> None:
    assert literal("it's") == "'it''s'"
    assert literal("a\\'") == " E'a\\\\'''"


ROLES = [
    ("roles: [{name: app, craetedb: true}]", "unknown key 'craetedb'; did you mean 'createdb'?"),
    ("roles: [{name: pg_app}]", "'pg_app' is a name that PostgreSQL keeps for itself"),
    ("roles: [{name: app}, {name: app}]", "there is another role 'app'"),
    ("roles: [{name: app, password: ''}]", "the password is empty"),
    ("roles: [{name: app, member_of: [app]}]", "a role cannot be a member of itself"),
    ("roles: [{name: app, connection_limit: -2}]", "expected a number from 0 on, or -1 for no limit"),
    ("{}", "give one of roles, grants, default_privileges"),
    (
        "grants: [{to: app, schema: s, privileges: [USGAE]}]",
        "'USGAE' is no privilege on a schema; did you mean 'USAGE'?",
    ),
    ("grants: [{to: app, schema: s, privileges: []}]", "privileges is empty"),
    (
        "grants: [{to: app, schema: s, functions: all, privileges: [SELECT]}]",
        "'SELECT' is no privilege on a function; did you mean 'EXECUTE'?",
    ),
    ("grants: [{to: app, tables: all, privileges: SELECT}]", "schema is missing"),
    (
        "grants: [{to: app, schema: s, tables: all, sequences: all, privileges: SELECT}]",
        "give one of tables and sequences; each needs an entry of its own",
    ),
    ("grants: [{to: app, schema: s, database: d, privileges: ALL}]", "a database is in no schema"),
    ("grants: [{to: [], schema: s, privileges: ALL}]", "to is empty"),
    (
        "default_privileges: [{on: tabels, to: app, privileges: SELECT}]",
        "expected tables or sequences or functions or types or schemas; did you mean 'tables'?",
    ),
    ("default_privileges: [{on: schemas, schema: s, to: app, privileges: USAGE}]", "a schema is in no other"),
]


def refused(kind: str, fields: str, url: str = URL) -> str:
    given_fields = "" if fields == "{}" else f", {fields}"
    text = f"version: 1\nname: x\nsteps:\n- {{id: x, uses: {kind}, with: {{url: '{url}'{given_fields}}}}}\n"
    with pytest.raises(PlanError) as error:
        load_text(text, "plan.yaml", {})
    return error.value.message


@pytest.mark.parametrize(("fields", "words"), ROLES)
def test_roles_that_are_refused(fields: str, words: str) -> None:
    assert words in refused("postgres.roles", fields)


def test_databases_that_are_refused() -> None:
    assert "maintenance is the database to be created" in refused("postgres.database", "maintenance: games")
    assert "a name is empty" in refused("postgres.database", "extensions: ['']")
    assert "names no database" in refused("postgres.database", "{}", "postgresql://admin@db")
    assert "did you mean 'name'?" in refused("postgres.database", "extensions: [{nam: citext}]")
    assert "expected postgresql://..." in refused("postgres.database", "{}", "mysql://admin@db/games")


def test_plans_in_python_may_hold_dictionaries() -> None:
    step = postgres.Roles(
        url=URL,
        roles=[{"name": "app", "password": "pw-nobody-may-see"}],  # type: ignore[list-item]
        default_privileges=[{"for": "app", "on": "tables", "to": "PUBLIC", "privileges": "select"}],  # type: ignore[list-item]
    )
    assert list(step.validate()) == []
    assert scrub("pw-nobody-may-see") == "***"
    with pytest.raises(ValueError, match="roles"):
        postgres.Roles(url=URL, roles=[{"nam": "app"}])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="extensions"):
        postgres.Database(url=URL, extensions=[{"nam": "app"}])  # type: ignore[list-item]


def test_no_repr_shows_a_password() -> None:
    role = postgres.Role(name="app", password="pw-nobody-may-see")
    step = postgres.Roles(url=URL, roles=[role])
    assert "nobody" not in repr(role) + str(role) + repr(step) + repr([role])
    try:
        raise ValueError(role)
    except ValueError:
        assert "nobody" not in traceback.format_exc()
