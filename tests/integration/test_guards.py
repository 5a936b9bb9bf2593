"""Guards that always answer, and what they mean: alike on PostgreSQL, MariaDB and SQLite, in every command."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from inithold.steps import database as kinds
from inithold.testing import check, drive
from servers.inithold import Inithold

Technology = str
SETUP = "CREATE TABLE users (id int, name varchar(40), done int)"
SEED = "INSERT INTO users VALUES (1, 'admin', 1)"


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with an empty table `users`."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/guards.db"
    else:
        url = request.getfixturevalue("database" if request.param == "postgresql" else "mysql_database")
    assert drive(kinds.Sql(url=url, sql=SETUP)).outcome == "changed"
    return url


@pytest.mark.parametrize(
    ("guard", "says"),
    [
        ("SELECT EXISTS (SELECT 1 FROM users WHERE name = 'admin')", ("false", "0")),
        ("SELECT count(*) FROM users", ("0",)),
        ("SELECT max(id) FROM users", ("NULL",)),
        ("SELECT coalesce(max(name), '') FROM users", ("an empty text",)),
        ("SELECT sum(done) > 0 FROM users", ("NULL",)),
        ("SELECT count(*) * 0.0 + count(*) FROM users", ("0",)),
        ("-- is it there?\nSELECT count(*) AS number FROM users; -- or not", ("0",)),
        ("WITH seen AS (SELECT * FROM users) SELECT count(*) FROM seen", ("0",)),
    ],
)
def test_a_guard_that_always_answers(empty: str, guard: str, says: tuple[str, ...]) -> None:
    step = kinds.Sql(url=empty, sql=SEED, unless=guard)
    (change,) = check(step)
    assert change.details[0].removeprefix("unless answers ") in says
    assert drive(step, timeout=0.3, wait=True).outcome == "failed", "a gate waits for it"
    assert drive(step).outcome == "changed"
    assert drive(step).outcome == "unchanged"
    assert drive(step, wait=True).outcome == "unchanged"


@pytest.mark.parametrize(
    "guard",
    [
        "SELECT 1",
        "SELECT '0'",
        "SELECT 'false'",
        "SELECT 0, 0",
        "SELECT 0 UNION ALL SELECT 0",
        "SELECT -1",
        "SELECT ' '",
    ],
)
def test_what_is_in_place(empty: str, guard: str) -> None:
    assert check(kinds.Sql(url=empty, sql=SEED, unless=guard)) == ()


def test_booleans_of_postgresql_and_bits_of_mysql(database: str, mysql_database: str) -> None:
    for guard in (
        "SELECT bool_or(done = 1) FROM users",
        "SELECT false",
        "SELECT 0::numeric(9, 4)",
        "SELECT ''::bytea",
    ):
        assert drive(kinds.Sql(url=database, sql=f"CREATE TABLE IF NOT EXISTS {SETUP[13:]}")).outcome == "changed"
        assert len(check(kinds.Sql(url=database, sql=SEED, unless=guard))) == 1, guard
    for guard, needed in {
        "SELECT NULL": 1,
        "SELECT CAST(0 AS DECIMAL(9, 4))": 1,
        "SELECT FALSE": 1,
        "SELECT f FROM flags": 1,
        "SELECT f + 1 FROM flags": 0,
    }.items():
        sql = "CREATE TABLE IF NOT EXISTS flags (f bit(8)); DELETE FROM flags; INSERT INTO flags VALUES (b'0')"
        drive(kinds.Sql(url=mysql_database, sql=sql))
        assert len(check(kinds.Sql(url=mysql_database, sql=SEED, unless=guard))) == needed, guard


@pytest.mark.parametrize(
    ("guard", "answers"),
    [
        ("SELECT count(*) FROM users WHERE id = 2", "answers 0"),
        ("SELECT 1 FROM users WHERE id = 2", "returns no row"),
    ],
)
def test_a_guard_that_still_says_no(empty: str, guard: str, answers: str) -> None:
    driven = drive(kinds.Sql(url=empty, sql=SEED, unless=guard))
    assert driven.outcome == "failed"
    assert driven.reason == f"the statements ran, yet unless {answers}: rolled back"
    assert len(check(kinds.Sql(url=empty, sql=SEED, unless="SELECT count(*) FROM users"))) == 1


@pytest.mark.parametrize(
    ("guard", "words"),
    [("SELECT 1; SELECT 2", "2 statements"), (" ", "empty"), ("-- nothing", "empty"), (";", "empty")],
)
def test_a_guard_is_one_query(empty: str, guard: str, words: str) -> None:
    problems = dict(kinds.Sql(url=empty, sql=SEED, unless=guard).validate())
    assert words in problems["unless"]


def test_a_guard_that_is_no_query(empty: str) -> None:
    # As far as a transaction that cannot write lets it.
    guard = "SET @x = 1" if empty.startswith("mysql") else "SAVEPOINT x"
    driven = drive(kinds.Sql(url=empty, sql=SEED, unless=guard))
    assert driven.outcome == "failed"
    assert "is no query" in driven.reason


def test_the_commands_agree(empty: str, tmp_path: Path, run_inithold: Inithold) -> None:
    fields = {"url": empty, "sql": SEED, "unless": "SELECT count(*) FROM users"}
    plan = {"version": 1, "name": "guards", "steps": [{"id": "seed", "uses": "database.sql", "with": fields}]}
    (tmp_path / "inithold.yaml").write_text(json.dumps(plan))
    pending = run_inithold("plan", "--exit-code")
    assert pending.returncode == 3
    assert "unless answers 0" in pending.stdout
    assert run_inithold("wait", "--timeout", "300ms").returncode == 1
    assert run_inithold("run", "--once", "--marker", str(tmp_path / "ready")).returncode == 0
    assert run_inithold("plan", "--exit-code").returncode == 0
    assert run_inithold("wait", "--timeout", "5s").returncode == 0


@pytest.mark.parametrize(
    ("guard", "answers"), [("SELECT count(*) FROM users", "0"), ("SELECT max(id) FROM users", "NULL")]
)
def test_a_verifying_hold_asks_the_guard(
    empty: str, guard: str, answers: str, tmp_path: Path, run_inithold: Inithold
) -> None:
    fields = {"url": empty, "sql": SEED, "unless": guard}
    steps = [{"id": "seed", "uses": "database.sql", "with": fields}]
    plan = {"version": 1, "name": "guards", "hold": {"verify": "1s"}, "steps": steps}
    (tmp_path / "inithold.yaml").write_text(json.dumps(plan))
    init = run_inithold.start("run", cwd=tmp_path)
    init.wait_for_hold(60)
    assert drive(kinds.Sql(url=empty, sql="DELETE FROM users")).outcome == "changed"
    init.wait_for_output(f"unless answers {answers}", 60)
    init.wait_until(lambda: init.output.count("init  holding") == 2, "the second hold", 60)
    assert not check(kinds.Sql(url=empty, sql=SEED, unless=guard))
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
