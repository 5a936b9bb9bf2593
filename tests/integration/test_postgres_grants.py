"""postgres.roles on a real PostgreSQL: grants, default privileges, and the split that row-level security needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from changing import changed_once, replicas_at_once
from docs.pages import DOCS, blocks
from golden import assert_golden
from inithold.steps.base import Step
from inithold.steps.postgres import DefaultPrivileges, Grant, Role, Roles
from inithold.testing import Driven, check, drive
from promptness import PROMPTLY
from servers.inithold import Inithold
from servers.postgresql import PostgreSQL
from stopping import stopped_when

PASSWORD = "pw-nobody-may-see"
SCHEMA = """
CREATE TABLE users (id int);
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE part_one PARTITION OF parts FOR VALUES FROM (1) TO (9);
CREATE VIEW names AS SELECT id FROM users;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM users;
CREATE SEQUENCE numbers;
CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a + b';
CREATE FUNCTION add(a text, b text[]) RETURNS text LANGUAGE sql AS 'SELECT a';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int);
CREATE PROCEDURE tidy() LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA public FROM PUBLIC
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server whose roles are these tests' own."""
    with PostgreSQL() as own:
        yield own


@pytest.fixture
def games(server: PostgreSQL) -> str:
    """The name of a database of the test's own with one thing of each kind."""
    name = server.create_database().rpartition("/")[2]
    server.execute(SCHEMA, name)
    return name


@pytest.fixture
def app(server: PostgreSQL) -> str:
    """The name of a role that may log in and nothing else."""
    name = f"app_{uuid4().hex[:8]}"
    server.create_user(name, PASSWORD)
    return name


Granted = Callable[..., Driven]


@pytest.fixture
def granted(server: PostgreSQL, games: str, app: str) -> Granted:
    """Grants to `app`: made when missing, unchanged the second time."""

    def grant(*, url: str = "", **fields: object) -> Driven:
        fields = {"to": app, "schema": "public", "privileges": ["SELECT"]} | fields
        given = {name: value for name, value in fields.items() if value is not None}
        step = Roles(url=url or server.dsn(games), grants=[Grant(**given)])  # type: ignore[arg-type]
        return changed_once(step)

    return grant


def said(driven: Driven, app: str, games: str = "") -> list[str]:
    plain = [change.replace(app, "app") for change in driven.changes]
    return [change.replace(games, "games") for change in plain] if games else plain


def as_role(server: PostgreSQL, role: str, statement: str, database: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn(database, user=role, password=PASSWORD), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def can(server: PostgreSQL, games: str, what: str, app: str, thing: str, privilege: str) -> bool:
    found: bool = server.execute(f"SELECT has_{what}_privilege('{app}', '{thing}', '{privilege}')", games)[0][0]
    return found


def is_golden(case: str, step: Step, **varying: str) -> None:
    driven = drive(step)
    assert (driven.outcome, driven.finished.attempts) == ("failed", 1), driven
    assert PASSWORD not in "\n".join([driven.reason, *driven.log])
    assert_golden(f"postgresql/{case}", driven.reason, driven.finished.hint, varying=varying)


# -- grants on each kind of object


def test_on_a_schema(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    server.execute('CREATE SCHEMA "Odd ""one"', games)
    driven = granted(schema='Odd "one', privileges=["usage", "CREATE"])
    assert said(driven, app) == ['+ grant usage, create on schema "Odd ""one" to app']
    assert can(server, games, "schema", app, 'Odd "one', "CREATE")


def test_on_a_database(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    server.execute(f"REVOKE ALL ON DATABASE {games} FROM PUBLIC")
    driven = granted(schema=None, database=games, privileges=["CONNECT", "TEMP"])
    assert said(driven, app, games) == ["+ grant connect, temporary on database games to app"]
    assert as_role(server, app, "SELECT 1", games) == [(1,)]


def test_on_all_tables(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    driven = granted(tables="all", privileges=["SELECT", "INSERT"])
    assert said(driven, app) == ["+ grant select, insert on all tables in schema public to app"]
    everything = "public.kept, public.names, public.part_one, public.parts, public.users"
    assert driven.finished.changes[0].details == (everything,), "views and partitioned tables are tables"
    assert as_role(server, app, "SELECT count(*) FROM names, parts", games) == [(0,)]

    # What has been made since is found, and named; what is there already is not granted again.
    server.execute("CREATE TABLE later (id int)", games)
    server.execute(f"REVOKE INSERT ON users FROM {app}", games)
    driven = granted(tables="all", privileges=["SELECT", "INSERT"])
    assert [(str(change).replace(app, "app"), change.details) for change in driven.finished.changes] == [
        ("+ grant select, insert on all tables in schema public to app", ("public.later",)),
        ("+ grant insert on all tables in schema public to app", ("public.users",)),
    ]


def test_more_tables_than_are_named(server: PostgreSQL, games: str, granted: Granted) -> None:
    server.execute(
        "DO $$ BEGIN FOR i IN 10..40 LOOP EXECUTE format('CREATE TABLE t%s ()', i); END LOOP; END $$", games
    )
    (details,) = granted(tables="ALL").finished.changes[0].details
    assert details.endswith(" and 26 more")


def test_on_some_tables(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    server.execute('CREATE TABLE "Odd.Name" (id int); CREATE TABLE "all" (id int)', games)
    driven = granted(tables=["users", "Odd.Name", "all"], privileges="UPDATE")
    assert said(driven, app) == [
        "+ grant update on table public.users to app",
        '+ grant update on table public."Odd.Name" to app',
        "+ grant update on table public.all to app",
    ]
    assert not can(server, games, "table", app, "parts", "UPDATE")


def test_on_sequences(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    driven = granted(sequences="all", privileges=["USAGE"])
    assert said(driven, app) == ["+ grant usage on all sequences in schema public to app"]
    assert as_role(server, app, "SELECT nextval('numbers')", games) == [(1,)]
    driven = granted(sequences=["numbers"], privileges=["USAGE", "UPDATE"])
    assert said(driven, app) == ["+ grant update on sequence public.numbers to app"]


def test_on_functions(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    driven = granted(functions=["add(int,integer)"], privileges="EXECUTE")
    assert said(driven, app) == ["+ grant execute on function public.add(integer, integer) to app"]
    assert as_role(server, app, "SELECT add(1, 2)", games) == [(3,)]
    driven = granted(functions=["add", "tidy()"], privileges="EXECUTE")
    assert said(driven, app) == [
        "+ grant execute on function public.add(text, text[]) to app",
        "+ grant execute on function public.tidy() to app",
    ]
    as_role(server, app, "CALL tidy()", games)


def test_on_all_functions(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    driven = granted(functions="all", privileges="EXECUTE")
    assert said(driven, app) == ["+ grant execute on all functions in schema public to app"]
    (details,) = driven.finished.changes[0].details
    assert details == "public.add(integer, integer), public.add(text, text[]), public.total(integer)"
    assert not can(server, games, "function", app, "tidy()", "EXECUTE"), "a procedure is no function"


def test_every_privilege(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    driven = granted(tables=["users"], privileges="ALL")
    for privilege in ("SELECT", "TRUNCATE", "TRIGGER"):
        assert privilege.lower() in driven.changes[0]
        assert can(server, games, "table", app, "users", privilege)


def test_to_public_and_to_several(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    driven = granted(to=["PUBLIC", app], tables=["users"])
    assert said(driven, app) == [
        "+ grant select on table public.users to PUBLIC",
        "+ grant select on table public.users to app",
    ]


def test_what_a_role_may_do_anyway_does_not_count(
    server: PostgreSQL, games: str, app: str, granted: Granted
) -> None:
    server.execute(f"GRANT pg_read_all_data TO {app}")
    assert can(server, games, "table", app, "users", "SELECT")
    assert said(granted(tables=["users"]), app) == ["+ grant select on table public.users to app"]
    # The owner's own rights are granted by nobody, and are rights all the same.
    server.execute(f"CREATE TABLE own (id int); ALTER TABLE own OWNER TO {app}", games)
    own = Grant(to=app, schema="public", tables=["own"], privileges=["SELECT", "DELETE"])
    assert drive(Roles(url=server.dsn(games), grants=[own])).outcome == "unchanged"


def test_nothing_is_revoked(server: PostgreSQL, games: str, app: str, granted: Granted) -> None:
    server.execute(f"GRANT DELETE ON users TO {app}", games)
    granted(tables=["users"])
    assert can(server, games, "table", app, "users", "DELETE")


def test_an_empty_schema_holds(server: PostgreSQL, games: str, app: str) -> None:
    server.execute("CREATE SCHEMA empty", games)
    grants = [
        Grant(to=app, schema="empty", tables="all", privileges="ALL"),
        Grant(to=app, schema="empty", functions="all", privileges="ALL"),
    ]
    assert drive(Roles(url=server.dsn(games), grants=grants)).outcome == "unchanged"


# -- default privileges


def test_default_privileges(server: PostgreSQL, games: str, app: str) -> None:
    admin = f"admin_{uuid4().hex[:8]}"
    server.create_user(admin, PASSWORD)
    server.execute(f"GRANT ALL ON SCHEMA public TO {admin}; GRANT CREATE ON DATABASE {games} TO {admin}", games)
    defaults = [
        DefaultPrivileges(owner=admin, schema="public", on="tables", to=app, privileges=["SELECT", "INSERT"]),
        DefaultPrivileges(owner=admin, schema="public", on="sequences", to=app, privileges=["USAGE"]),
        DefaultPrivileges(owner=admin, on="functions", to=app, privileges=["EXECUTE"]),
        DefaultPrivileges(owner=admin, on="functions", to="PUBLIC", privileges=["EXECUTE"]),
        DefaultPrivileges(owner=admin, on="types", to=app, privileges="ALL"),
        DefaultPrivileges(owner=admin, on="schemas", to=app, privileges=["USAGE"]),
        DefaultPrivileges(on="tables", to=app, privileges=["SELECT"]),
    ]
    step = Roles(url=server.dsn(games), default_privileges=defaults)
    driven = drive(step)
    assert [change.replace(app, "app").replace(admin, "owner") for change in driven.changes] == [
        "+ default privileges for owner in schema public: select, insert on tables to app",
        "+ default privileges for owner in schema public: usage on sequences to app",
        "+ default privileges for owner: execute on functions to app",
        # That PUBLIC may execute functions is PostgreSQL's own default.
        "+ default privileges for owner: usage on types to app",
        "+ default privileges for owner: usage on schemas to app",
        "+ default privileges for admin: select on tables to app",
    ]
    assert drive(step).outcome == "unchanged"

    as_role(server, admin, "CREATE TABLE public.made (id serial)", games)
    as_role(server, admin, "CREATE SCHEMA made", games)
    as_role(server, admin, "CREATE FUNCTION made.one() RETURNS int LANGUAGE sql AS 'SELECT 1'", games)
    as_role(server, app, "INSERT INTO made DEFAULT VALUES", games)
    assert as_role(server, app, "SELECT made.one() FROM made", games) == [(1,)]


# -- row-level security


def test_the_split_for_row_level_security(server: PostgreSQL, run_inithold: Inithold, tmp_path: Path) -> None:
    """The example of docs/how-to/row-level-security.md does what the page says."""
    page = DOCS / "how-to" / "row-level-security.md"
    (plan,) = [block.text for block in blocks(page) if block.file]
    (tmp_path / "inithold.yaml").write_text(plan)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in re.findall(r"\$\{secret:(\w+)\}", plan):
        (secrets / name).write_text(server.password if name == "superuser_password" else PASSWORD)
    env = {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(server.port),
        "DATABASE_SUPERUSER": server.user,
        "INITHOLD_SECRETS_DIR": str(secrets),
    }
    shown = run_inithold("plan", env=env)
    (first, *_) = [block.text for block in blocks(page) if block.language == "text"]
    for line in first.splitlines():
        assert line.strip() in shown.stdout
    done = run_inithold("run", "--once", env=env)
    assert done.returncode == 0, done.stderr
    again = run_inithold("plan", "--exit-code", env=env)
    assert again.returncode == 0, again.stdout

    rows = "SELECT name FROM players ORDER BY 1"
    as_role(server, "game_admin", "INSERT INTO players VALUES ('ann', 'red'), ('bob', 'blue')", "games")
    with psycopg.connect(server.dsn("games", user="game_app", password=PASSWORD)) as connection:
        assert connection.execute(rows).fetchall() == [], "no team, no rows"
        connection.execute("SELECT set_config('app.team', 'red', true)")
        assert connection.execute(rows).fetchall() == [("ann",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("INSERT INTO players VALUES ('eve', 'blue')")
    assert as_role(server, "game_batch", rows, "games") == [("ann",), ("bob",)]
    # A table that a later migration makes has the rights already.
    as_role(server, "game_admin", "CREATE TABLE scores (id serial, points int)", "games")
    as_role(server, "game_app", "INSERT INTO scores (points) VALUES (1)", "games")
    assert as_role(server, "game_batch", "SELECT points FROM scores", "games") == [(1,)]


# -- what goes wrong


def test_what_does_not_exist(server: PostgreSQL, games: str, app: str) -> None:
    grants = [
        Grant(to=app, schema="public", tables=["usres"], privileges="SELECT"),
        Grant(to=app, schema="publik", tables="all", privileges="SELECT"),
        Grant(to=app, schema="nowhere", privileges="USAGE"),
        Grant(to=app, schema="public", functions=["add(money)", "add(no_type)", "sub(int)"], privileges="EXECUTE"),
        Grant(to="nobody_at_all", schema="public", tables=["users"], privileges="SELECT"),
        Grant(to=app, database="no_games", privileges="CONNECT"),
    ]
    defaults = [
        DefaultPrivileges(schema="nowhere", on="tables", to=app, privileges="SELECT"),
        DefaultPrivileges(owner="nobody_at_all", on="tables", to=app, privileges="SELECT"),
    ]
    new = f"new_{uuid4().hex[:8]}"
    step = Roles(url=server.dsn(games), roles=[Role(name=new)], grants=grants, default_privileges=defaults)
    assert len(check(step)) == 11, "a table may yet be made by another step"
    is_golden("grants-on-nothing", step, **{app: "app"})
    assert server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{new}'") == [], "nothing was changed"


def test_too_few_rights(server: PostgreSQL, games: str, app: str) -> None:
    other = f"other_{uuid4().hex[:8]}"
    server.create_user(other, PASSWORD)
    grant = Grant(to=app, schema="public", tables=["users"], privileges=["SELECT", "INSERT"])
    step = Roles(url=server.dsn(games, user=other, password=PASSWORD), grants=[grant])
    is_golden("grants-no-rights", step, **{app: "app"})
    # Who may read, and may not hand that on, is only warned by PostgreSQL.
    server.execute(f"GRANT SELECT ON users TO {other}", games)
    is_golden("grants-no-option", step, **{app: "app"})
    default = DefaultPrivileges(owner=app, on="tables", to=other, privileges="SELECT")
    for_another = Roles(url=server.dsn(games, user=other, password=PASSWORD), default_privileges=[default])
    assert drive(for_another).outcome == "failed"
    assert [str(change) for change in check(step)] == [f"+ grant select, insert on table public.users to {app}"]


def test_the_rights_of_the_check(server: PostgreSQL, games: str, app: str) -> None:
    """To connect suffices: not even USAGE on the schema is needed."""
    server.execute("CREATE SCHEMA closed CREATE TABLE t (id int) CREATE SEQUENCE s", games)
    server.execute("CREATE FUNCTION closed.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", games)
    grants = [
        Grant(to=app, schema="closed", tables="all", privileges="SELECT"),
        Grant(to=app, schema="closed", tables=["t"], privileges="SELECT"),
        Grant(to=app, schema="closed", sequences="all", privileges="ALL"),
        Grant(to="PUBLIC", schema="closed", functions=["f(integer)"], privileges="EXECUTE"),
        Grant(to="PUBLIC", database=games, privileges="CONNECT"),
    ]
    defaults = [DefaultPrivileges(owner="admin", schema="closed", on="tables", to=app, privileges="SELECT")]
    step = Roles(url=server.dsn(games), grants=grants, default_privileges=defaults)
    assert drive(step).outcome == "changed"
    own = Roles(url=server.dsn(games, user=app, password=PASSWORD), grants=grants, default_privileges=defaults)
    assert not can(server, games, "schema", app, "closed", "USAGE")
    assert check(own) == []
    server.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA closed FROM {app}", games)
    assert len(check(own)) == 2


def test_replicas_at_once(server: PostgreSQL, games: str, app: str) -> None:
    grants = [
        Grant(to=[app, "PUBLIC"], schema="public", tables="all", privileges="ALL"),
        Grant(to=[app, "PUBLIC"], schema="public", functions="all", privileges="ALL"),
    ]
    step = Roles(
        url=server.dsn(games),
        grants=grants,
        default_privileges=[DefaultPrivileges(on="tables", to=app, privileges="ALL")],
    )
    replicas_at_once(step)


def test_cancel_ends_the_statement_on_the_server(server: PostgreSQL, games: str, app: str) -> None:
    new = f"new_{uuid4().hex[:8]}"
    step = Roles(
        url=server.dsn(games),
        roles=[Role(name=new)],
        grants=[Grant(to=app, schema="public", tables=["users"], privileges="SELECT")],
    )
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{games}' AND wait_event_type = 'Lock'"
    with psycopg.connect(server.dsn(games)) as other:
        other.execute("GRANT SELECT ON users TO PUBLIC")
        result, seconds = stopped_when(step, lambda: bool(server.execute(waiting)))
        assert server.execute(waiting) == []
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY
    assert server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{new}'") == []
