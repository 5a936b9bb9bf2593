"""mysql.database on a real MariaDB: what it makes, what it leaves alone, what it says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

import servers.mariadb as mariadb_module
from fake_server import fake_server, hang_up_at_once
from golden import assert_golden
from inithold.steps.mysql import Database
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.inithold import Inithold
from servers.mariadb import MariaDB
from servers.ports import closed_port
from stopping import stopped_when, until

pytestmark = pytest.mark.usefixtures("no_authorities")

SECRET = "pw-nobody-may-see"


@pytest.fixture
def name(mariadb: MariaDB) -> Iterator[str]:
    """A name that no database has yet."""
    name = f"made_{uuid4().hex[:12]}"
    yield name
    mariadb.drop_database(name)


def defaults(server: MariaDB, name: str) -> tuple[str, str] | None:
    rows = server.execute(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
        f" WHERE CAST(schema_name AS BINARY) = '{name}'"
    )
    return (rows[0][0], rows[0][1]) if rows else None


@contextmanager
def user(server: MariaDB, *grants: str) -> Iterator[str]:
    """A user with no grants but these: `CREATE ON games.*`."""
    name = f"user_{uuid4().hex[:8]}"
    server.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{SECRET}'")
    for grant in grants:
        server.execute(f"GRANT {grant} TO '{name}'@'%'")
    try:
        yield name
    finally:
        server.execute(f"DROP USER '{name}'@'%'")


def is_golden(case: str, step: Database, **varying: str) -> None:
    driven = drive(step)
    assert (driven.outcome, driven.finished.attempts) == ("failed", 1), driven
    assert SECRET not in repr(driven)
    assert_golden(f"mysql/{case}", driven.reason, driven.finished.hint, varying=varying)


# -- made, unchanged, altered


def test_made_once(mariadb: MariaDB, name: str) -> None:
    step = Database(url=mariadb.url(name), character_set="utf8mb4", collation="utf8mb4_unicode_ci")
    made = drive(step)
    assert (made.outcome, made.changes) == ("changed", (f"+ database {name}",))
    assert made.finished.changes[0].details == ("character set utf8mb4", "collation utf8mb4_unicode_ci")
    assert defaults(mariadb, name) == ("utf8mb4", "utf8mb4_unicode_ci")
    again = drive(step)
    assert (again.outcome, again.changes) == ("unchanged", ())


def test_a_check_changes_nothing(mariadb: MariaDB, name: str) -> None:
    assert [str(change) for change in check(Database(url=mariadb.url(name)))] == [f"+ database {name}"]
    assert drive(Database(url=mariadb.url(name)), wait=True, timeout=0.5).outcome == "failed"
    assert defaults(mariadb, name) is None


def test_what_is_not_given_is_the_servers_and_left_alone(mariadb: MariaDB, name: str) -> None:
    assert drive(Database(url=mariadb.url(name))).finished.changes[0].details == ()
    mariadb.execute(f"ALTER DATABASE `{name}` CHARACTER SET latin2 COLLATE latin2_bin")
    for given in ({}, {"character_set": "latin2"}, {"collation": "latin2_bin"}):
        assert drive(Database(url=mariadb.url(name), **given)).outcome == "unchanged", given
    assert defaults(mariadb, name) == ("latin2", "latin2_bin")


@pytest.mark.parametrize(
    ("character_set", "collation", "difference"),
    [
        ("utf8mb4", None, "character set latin1 -> utf8mb4"),
        (None, "latin1_bin", "collation latin1_swedish_ci -> latin1_bin"),
        ("latin1", "latin1_bin", "collation latin1_swedish_ci -> latin1_bin"),
        (
            "utf8mb4",
            "utf8mb4_unicode_ci",
            "character set latin1 -> utf8mb4, collation latin1_swedish_ci -> utf8mb4_unicode_ci",
        ),
    ],
)
def test_altering_changes_the_defaults_alone(
    mariadb: MariaDB, name: str, character_set: str | None, collation: str | None, difference: str
) -> None:
    mariadb.execute(f"CREATE DATABASE `{name}` CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    mariadb.execute("CREATE TABLE kept (word varchar(20))", name)
    mariadb.execute("INSERT INTO kept VALUES ('Spaß')", name)
    step = Database(url=mariadb.url(name), character_set=character_set, collation=collation)
    driven = drive(step)
    assert (driven.outcome, driven.changes) == ("changed", (f"~ database {name}: {difference}",))
    assert driven.finished.changes[0].details == ("for tables made from now on: those that exist keep theirs",)
    assert drive(step).outcome == "unchanged"
    kept = f"SELECT table_collation FROM information_schema.tables WHERE table_schema = '{name}'"
    assert mariadb.execute(kept) == [("latin1_swedish_ci",)]
    assert mariadb.execute("SELECT word FROM kept", name) == [("Spaß",)]


@pytest.mark.parametrize(
    ("character_set", "collation", "made"),
    [
        ("utf8", None, ("utf8mb3", "utf8mb3_general_ci")),
        ("UTF8MB4", "UTF8MB4_Bin", ("utf8mb4", "utf8mb4_bin")),
        (None, "utf8_unicode_ci", ("utf8mb3", "utf8mb3_unicode_ci")),
        ("utf8mb4", "uca1400_ai_ci", ("utf8mb4", "utf8mb4_uca1400_ai_ci")),
        ("binary", None, ("binary", "binary")),
        ("utf16", None, ("utf16", "utf16_general_ci")),
    ],
)
def test_names_are_taken_as_the_server_takes_them(
    mariadb: MariaDB, name: str, character_set: str | None, collation: str | None, made: tuple[str, str]
) -> None:
    step = Database(url=mariadb.url(name), character_set=character_set, collation=collation)
    assert drive(step).outcome == "changed"
    assert defaults(mariadb, name) == made
    assert drive(step).outcome == "unchanged"


@pytest.mark.parametrize(
    "odd", ["tick`ed``", "two words", "100%s; DROP", "größe-名", "dotted.name", "q\"u'o\\te", "-- x"]
)
def test_odd_names(mariadb: MariaDB, odd: str) -> None:
    quoted = odd.replace("`", "``")
    step = Database(url=mariadb.url(odd), character_set="latin1")
    try:
        assert drive(step).changes == (f"+ database {odd}",)
        assert drive(step).outcome == "unchanged"
        changed = drive(Database(url=mariadb.url(), name=odd, character_set="utf8mb4"))
        assert changed.changes == (f"~ database {odd}: character set latin1 -> utf8mb4",)
        assert (odd,) in mariadb.execute("SHOW DATABASES")
    finally:
        mariadb.drop_database(quoted)


def test_names_that_differ_in_case_are_two_databases(mariadb: MariaDB, name: str) -> None:
    mariadb.create_database(name)
    try:
        assert drive(Database(url=mariadb.url(name.upper()))).outcome == "changed"
        assert defaults(mariadb, name) is not None
        assert defaults(mariadb, name.upper()) is not None
    finally:
        mariadb.drop_database(name.upper())


def test_a_server_that_folds_names(monkeypatch: pytest.MonkeyPatch) -> None:
    started = mariadb_module.start

    def start_folding(command: list[str | Path], *, log: Path, user: str | None, cwd: Path) -> int:
        return started([*command, "--lower-case-table-names=1"], log=log, user=user, cwd=cwd)

    monkeypatch.setattr(mariadb_module, "start", start_folding)
    with MariaDB() as server:
        assert drive(Database(url=server.url("Games"))).outcome == "changed"
        assert drive(Database(url=server.url("GAMES"))).outcome == "unchanged"
        assert ("games",) in server.execute("SHOW DATABASES")


def test_the_address_in_parts(mariadb: MariaDB, name: str) -> None:
    step = Database(
        host="127.0.0.1", port=mariadb.port, user=mariadb.user, password=mariadb.password, database=name
    )
    assert step.subject() == f"mysql://admin@127.0.0.1:{mariadb.port}/{name}"
    assert drive(step).outcome == "changed"


def test_two_at_once(mariadb: MariaDB, name: str) -> None:
    step = Database(url=mariadb.url(name), character_set="utf8mb4")
    with ThreadPoolExecutor(8) as pool:
        driven = list(pool.map(drive, [step] * 8))
    assert {each.outcome for each in driven} <= {"changed", "unchanged"}, driven
    assert "changed" in {each.outcome for each in driven}
    assert defaults(mariadb, name) == ("utf8mb4", "utf8mb4_general_ci")


# -- rights


@pytest.mark.parametrize("grant", ["SELECT ON `{}`.*", "SHOW DATABASES ON *.*"])
def test_a_check_needs_any_privilege_or_show_databases(mariadb: MariaDB, mysql_database: str, grant: str) -> None:
    name = mysql_database.rpartition("/")[2]
    with user(mariadb, grant.format(name)) as reader:
        step = Database(url=mariadb.url(name, user=reader, password=SECRET), collation="latin1_swedish_ci")
        assert check(step) == ()
        assert drive(step).outcome == "unchanged"


def test_a_check_without_rights_sees_no_database(mariadb: MariaDB, mysql_database: str) -> None:
    name = mysql_database.rpartition("/")[2]
    with user(mariadb) as nobody:
        step = Database(url=mariadb.url(name, user=nobody, password=SECRET))
        assert [str(change) for change in check(step)] == [f"+ database {name}"]


def test_create_and_alter_on_the_database_are_enough(mariadb: MariaDB, name: str) -> None:
    with user(mariadb, f"CREATE, ALTER ON `{name}`.*") as owner:
        url = mariadb.url(name, user=owner, password=SECRET)
        assert drive(Database(url=url, character_set="latin1")).outcome == "changed"
        assert drive(Database(url=url, character_set="utf8mb4")).outcome == "changed"


def test_insufficient_rights(mariadb: MariaDB, mysql_database: str, name: str) -> None:
    with user(mariadb) as nobody:
        varying = {str(mariadb.port): "PORT", name: "games", nobody: "app"}
        is_golden("database-no-create", Database(url=mariadb.url(name, user=nobody, password=SECRET)), **varying)
    there = mysql_database.rpartition("/")[2]
    with user(mariadb, f"SELECT ON `{there}`.*") as reader:
        varying = {str(mariadb.port): "PORT", there: "games", reader: "app"}
        step = Database(url=mariadb.url(there, user=reader, password=SECRET), character_set="utf8mb4")
        is_golden("database-no-alter", step, **varying)


# -- never, and not yet


def test_never(mariadb: MariaDB, name: str) -> None:
    url, varying = mariadb.url(name), {str(mariadb.port): "PORT", name: "games"}
    is_golden("database-rejected-password", Database(url=mariadb.url(name, password=SECRET)), **varying)
    is_golden("database-unknown-character-set", Database(url=url, character_set="utf8mb5"), **varying)
    is_golden("database-unknown-collation", Database(url=url, collation="utf8mb4_none"), **varying)
    mismatch = Database(url=url, character_set="latin1", collation="utf8mb4_bin")
    is_golden("database-collation-of-another-set", mismatch, **varying)
    assert defaults(mariadb, name) is None


def test_a_server_that_is_not_up_yet() -> None:
    with MariaDB() as server:
        step = Database(url=server.url("late"))
        server.stop()
        late = threading.Timer(0.5, server.start)
        late.start()
        driven = drive(step)
        late.join()
        assert driven.outcome == "changed"
        assert driven.waited_for[0] == f"127.0.0.1:{server.port}: connection refused"


def test_not_yet_is_told() -> None:
    with closed_port() as port:
        driven = drive(Database(url=f"mysql://app:{SECRET}@127.0.0.1:{port}/games"), timeout=0.3)
        assert driven.waited_for == (f"127.0.0.1:{port}: connection refused",)
    with fake_server(hang_up_at_once) as port:
        driven = drive(Database(url=f"mysql://app:{SECRET}@127.0.0.1:{port}/games"), timeout=0.7)
        assert driven.waited_for[0] == f"127.0.0.1:{port}: connection lost"


def test_told_to_stop_while_it_waits_for_others() -> None:
    with MariaDB() as server:
        waiting = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'CREATE DATABASE%'"
        backup = server.connect("mysql")
        with backup, backup.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            step = Database(url=server.url("games"))
            result, seconds = stopped_when(step, lambda: bool(server.execute(waiting)))
            assert result.steps[0].outcome == "cancelled"
            assert seconds < PROMPTLY
            until(lambda: not server.execute(waiting))
        assert defaults(server, "games") is None


# -- the plan, and what is shown


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"url": "mysql://root@db"}, "url", "the name of the database is missing"),
        ({"url": "mysql://root@db/"}, "url", "the name of the database is missing"),
        ({"host": "db"}, "name", "the name of the database is missing"),
        ({"url": "mysql://root@db/mysql"}, "url", "the server's own database"),
        ({"url": "mysql://root@db/games", "name": "SYS"}, "name", "the server's own database"),
        ({"url": "mysql://root@db", "name": "x" * 65}, "name", "longer than 64 characters"),
        ({"url": "mysql://root@db", "name": "x "}, "name", "does not end in a space"),
        ({"url": "mysql://root@db", "name": "\U0001f3b2"}, "name", "beyond U\\+FFFF"),
        ({"url": "mysql://root@db/g", "character_set": "utf8; DROP"}, "character_set", "is not a name"),
        ({"url": "mysql://root@db/g", "collation": ""}, "collation", "is not a name"),
        ({"url": "mysql://root@db/g", "collation": "uca1400_ai_ci"}, "collation", "give character_set, too"),
        ({"url": "postgresql://root@db/g"}, "url", "expected mysql://"),
        ({}, "url", "is missing"),
    ],
)
def test_what_is_refused_before_any_step_runs(fields: dict[str, str], field: str, words: str) -> None:
    faults = list(Database(**fields).validate())  # type: ignore[arg-type] # every field is a text
    assert [name for name, _ in faults] == [field], faults
    assert faults[0][1].find(words.replace("\\", "")) >= 0, faults


def test_the_name_that_is_shown_is_the_one_that_is_made() -> None:
    step = Database(url=f"mysql://root:{SECRET}@db/mysql?ssl_mode=REQUIRED", name="games")
    assert list(step.validate()) == []
    assert step.subject() == "mysql://root@db:3306/games"
    assert SECRET not in repr(step)


def test_no_secret_in_any_output(mariadb: MariaDB, name: str, run_inithold: Inithold, tmp_path: Path) -> None:
    step = {
        "id": "games",
        "uses": "mysql.database",
        "with": {"url": "${DATABASE_URL}", "character_set": "utf8mb4"},
    }
    (tmp_path / "inithold.yaml").write_text(json.dumps({"version": 1, "name": "made", "steps": [step]}))
    with user(mariadb, f"ALL ON `{name}`.*") as owner, user(mariadb) as nobody:
        for who, code in ((owner, 0), (nobody, 1)):
            env: dict[str, str | None] = {"DATABASE_URL": mariadb.url(name, user=who, password=SECRET)}
            shown = run_inithold("plan", env=env)
            done = run_inithold("run", "--once", "--log-level=debug", env=env)
            assert (shown.returncode, done.returncode) == (0, code), done.stderr
            record = Path(f"{run_inithold.marker}.record.json").read_text()
            for text in (shown.stdout, shown.stderr, done.stdout, done.stderr, record):
                assert SECRET not in text
                assert name in text or not text
