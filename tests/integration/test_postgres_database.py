"""postgres.database on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from changing import changed_once, lines, replicas_at_once
from golden import assert_golden
from inithold.errors import Rejected
from inithold.steps.base import Step
from inithold.steps.postgres import Database, Extension
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from stopping import stopped_when

SECRET = "pw-nobody-may-see"


@pytest.fixture
def games(postgresql: PostgreSQL) -> Iterator[str]:
    """The name of a database that does not exist."""
    name = f"games_{uuid4().hex[:8]}"
    yield name
    postgresql.drop_database(name)


@pytest.fixture
def role(postgresql: PostgreSQL) -> Iterator[str]:
    """The name of a role that may log in, and nothing more."""
    name = f"role_{uuid4().hex[:8]}"
    postgresql.create_user(name, SECRET)
    yield name
    for (database,) in postgresql.execute(f"SELECT datname FROM pg_database WHERE datdba = '{name}'::regrole"):
        postgresql.drop_database(database)
    postgresql.execute(f"DROP ROLE {name}")


def is_golden(case: str, step: Step, **varying: str) -> None:
    driven = drive(step)
    assert (driven.outcome, driven.finished.attempts) == ("failed", 1), driven
    assert SECRET not in "\n".join([driven.reason, *driven.log])
    assert_golden(f"postgresql/{case}", driven.reason, driven.finished.hint, varying=varying)


def test_a_database_is_made_once(postgresql: PostgreSQL, games: str, role: str) -> None:
    step = Database(url=postgresql.dsn(games), owner=role, extensions=["pgcrypto", "cube", "earthdistance"])
    driven = changed_once(step)
    assert driven.changes == (
        f"+ database {games}",
        "+ extension pgcrypto",
        "+ extension cube",
        "+ extension earthdistance",
    )
    assert driven.finished.changes[0].details == (f"owner {role}",)
    owner = f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{games}'"
    assert postgresql.execute(owner) == [(role,)]
    assert len(postgresql.execute("SELECT gen_random_bytes(4), earth()", games)) == 1


def test_encoding_locale_and_template(postgresql: PostgreSQL, games: str) -> None:
    step = Database(url=postgresql.dsn(games), encoding="latin1", locale="C")
    driven = changed_once(step)
    assert driven.finished.changes[0].details == ("encoding latin1, locale C",)
    found = "pg_encoding_to_char(encoding), datcollate, datctype"
    assert postgresql.execute(f"SELECT {found} FROM pg_database WHERE datname = '{games}'") == [
        ("LATIN1", "C", "C")
    ]
    postgresql.execute("CREATE TABLE from_template (id int)", games)
    copy = f"{games}_copy"
    try:
        assert drive(Database(url=postgresql.dsn(copy), template=games)).outcome == "changed"
        assert postgresql.execute("SELECT * FROM from_template", copy) == []
    finally:
        postgresql.drop_database(copy)


def test_what_the_plan_does_not_give_is_left_alone(postgresql: PostgreSQL, database: str) -> None:
    postgresql.execute("CREATE EXTENSION citext", database.rpartition("/")[2])
    assert drive(Database(url=database)).outcome == "unchanged"
    assert drive(Database(url=database, extensions=["citext"])).outcome == "unchanged"


def test_the_owner_is_altered(postgresql: PostgreSQL, database: str, role: str) -> None:
    name = database.rpartition("/")[2]
    assert changed_once(Database(url=database, owner=role)).changes == (
        f"~ database {name}: owner {postgresql.user} -> {role}",
    )
    assert changed_once(Database(url=database, owner=postgresql.user)).outcome == "changed"


def test_the_schema_of_an_extension(postgresql: PostgreSQL, database: str) -> None:
    postgresql.execute('CREATE SCHEMA "Ext"', database.rpartition("/")[2])
    step = Database(url=database, extensions=[Extension(name="uuid-ossp", schema="Ext")])
    assert changed_once(step).changes == ('+ extension "uuid-ossp"',)
    assert postgresql.execute('SELECT count("Ext".uuid_generate_v4())', database.rpartition("/")[2]) == [(1,)]


def test_odd_names(postgresql: PostgreSQL) -> None:
    odd = f'Games "x"; DROP DATABASE postgres; -- é/{uuid4().hex[:8]}'
    quoted = odd.replace('"', '""')
    postgresql.execute(f'CREATE ROLE "{quoted}"')
    try:
        driven = changed_once(Database(url=postgresql.dsn(odd), owner=odd))
        assert driven.changes == (f'+ database "{quoted}"',)
    finally:
        postgresql.execute(f'DROP DATABASE IF EXISTS "{quoted}"')
        postgresql.execute(f'DROP ROLE "{quoted}"')


def test_parts_instead_of_a_url(postgresql: PostgreSQL, games: str) -> None:
    step = Database(
        host="127.0.0.1",
        port=postgresql.port,
        user=postgresql.user,
        password=postgresql.password,
        database=games,
        maintenance="template1",
    )
    assert changed_once(step).changes == (f"+ database {games}",)


def test_the_name_in_the_query(postgresql: PostgreSQL, games: str) -> None:
    url = f"{postgresql.dsn('').rpartition('/')[0]}?dbname={games}"
    assert changed_once(Database(url=url)).changes == (f"+ database {games}",)


# -- rights


def test_the_rights_of_the_check(postgresql: PostgreSQL, games: str, role: str) -> None:
    """To connect suffices."""
    own = Database(
        url=postgresql.dsn(games, user=role, password=SECRET),
        owner=postgresql.user,
        extensions=["pgcrypto"],
        encoding="UTF8",
    )
    assert lines(own) == [f"+ database {games}", "+ extension pgcrypto"]
    given = Database(url=postgresql.dsn(games), owner=postgresql.user, extensions=["pgcrypto"], encoding="UTF8")
    assert drive(given).outcome == "changed"
    assert lines(own) == []
    # Once it is there, the maintenance database is not needed any more.
    assert lines(Database(url=own.url, extensions=["pgcrypto"], maintenance="nowhere")) == []


def test_createdb_is_enough_to_make_it(postgresql: PostgreSQL, games: str, role: str) -> None:
    postgresql.execute(f"ALTER ROLE {role} CREATEDB")
    step = Database(url=postgresql.dsn(games, user=role, password=SECRET), extensions=["pgcrypto"])
    assert changed_once(step).changes == (f"+ database {games}", "+ extension pgcrypto")


def test_too_few_rights(postgresql: PostgreSQL, games: str, database: str, role: str) -> None:
    step = Database(url=postgresql.dsn(games, user=role, password=SECRET))
    is_golden("database-no-createdb", step, **{games: "games"})
    name = database.rpartition("/")[2]
    is_golden(
        "extension-no-rights",
        Database(url=postgresql.dsn(name, user=role, password=SECRET), extensions=["pgcrypto"]),
    )
    is_golden(
        "extension-not-trusted",
        Database(url=postgresql.dsn(name, user=role, password=SECRET), extensions=["file_fdw"]),
    )
    alter = Database(url=postgresql.dsn(name, user=role, password=SECRET), owner=role)
    driven = drive(alter)
    assert driven.outcome == "failed"
    assert driven.reason.startswith(
        f"database {name}: owner {postgresql.user} -> {role}: must be owner of database"
    )


# -- what goes wrong


def test_what_cannot_be_altered(postgresql: PostgreSQL, database: str) -> None:
    name = database.rpartition("/")[2]
    is_golden("database-other-encoding", Database(url=database, encoding="LATIN1"), **{name: "games"})
    is_golden("database-other-locale", Database(url=database, locale="de_DE.UTF-8"), **{name: "games"})
    is_golden("database-unknown-encoding", Database(url=database, encoding="UFT8"), **{name: "games"})
    assert lines(Database(url=database, encoding="utf-8", locale="C")) == [], "spelt in another way"
    postgresql.execute("CREATE EXTENSION citext", name)
    elsewhere = Database(url=database, extensions=[Extension(name="citext", schema="ext")])
    is_golden("extension-elsewhere", elsewhere)


def test_an_extension_the_server_does_not_have(postgresql: PostgreSQL, games: str, database: str) -> None:
    for url in (database, postgresql.dsn(games)):
        is_golden("extension-missing", Database(url=url, extensions=["pgcrypto", "postgis"]))
    is_golden("extension-misspelt", Database(url=database, extensions=["uuid_ossp"]))
    assert postgresql.execute(f"SELECT 1 FROM pg_database WHERE datname = '{games}'") == [], "nothing was made"


def test_an_extension_before_the_one_it_needs(database: str) -> None:
    is_golden("extension-order", Database(url=database, extensions=["earthdistance", "cube"]))


def test_an_extension_whose_schema_is_missing(database: str) -> None:
    is_golden("extension-no-schema", Database(url=database, extensions=[Extension(name="citext", schema="nope")]))


def test_an_owner_that_does_not_exist(postgresql: PostgreSQL, games: str) -> None:
    step = Database(url=postgresql.dsn(games), owner="nobody_at_all")
    assert lines(step) == [f"+ database {games}"], "a step before may make the role"
    is_golden("database-no-owner", step, **{games: "games"})


def test_a_rejected_login(postgresql: PostgreSQL, games: str, role: str) -> None:
    driven = drive(Database(url=postgresql.dsn(games, password=SECRET)))
    assert (driven.outcome, driven.finished.attempts) == ("failed", 1)
    assert "password authentication failed" in driven.reason
    with pytest.raises(Rejected, match="nowhere"):
        check(Database(url=postgresql.dsn(games), maintenance="nowhere"))


def test_a_server_that_is_not_up() -> None:
    with closed_port() as port:
        driven = drive(Database(url=f"postgresql://a:{SECRET}@127.0.0.1:{port}/games"), timeout=0.5)
    assert driven.waited_for == (f"127.0.0.1:{port}: connection refused",)
    with PostgreSQL() as late:
        late.stop()
        threading.Timer(0.7, late.start_without_waiting).start()
        driven = drive(Database(url=late.dsn("games")))
    assert driven.outcome == "changed"
    assert driven.waited_for


def test_a_template_in_use_is_waited_for(postgresql: PostgreSQL, games: str, database: str) -> None:
    template = database.rpartition("/")[2]
    busy = psycopg.connect(database)
    # The server itself waits up to 5 s for the others to go.
    threading.Timer(6.0, busy.close).start()
    driven = drive(Database(url=postgresql.dsn(games), template=template))
    assert driven.outcome == "changed"
    assert "is being accessed by other users" in driven.waited_for[0]


def test_replicas_at_once(postgresql: PostgreSQL, games: str) -> None:
    replicas_at_once(Database(url=postgresql.dsn(games), extensions=["pgcrypto", "citext", "hstore"]))


def test_cancel_ends_the_statement_on_the_server(postgresql: PostgreSQL, database: str) -> None:
    name = database.rpartition("/")[2]
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    with psycopg.connect(database) as other:
        other.execute("CREATE EXTENSION citext")
        step = Database(url=database, extensions=["citext"])
        result, seconds = stopped_when(step, lambda: bool(postgresql.execute(waiting)))
        assert postgresql.execute(waiting) == []
        other.rollback()
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY
    assert postgresql.execute("SELECT 1 FROM pg_extension WHERE extname = 'citext'", name) == []
