"""The database kinds on SQLite files."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden import assert_golden
from inithold.steps import database as kinds
from inithold.steps.base import Step
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.run import new_folder
from stopping import stopped_when

URL = "sqlite:///app.db"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def connection(folder: Path) -> Iterator[sqlite3.Connection]:
    """A database with a table, opened by the application."""
    opened = sqlite3.connect("app.db", isolation_level=None)
    opened.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    yield opened
    opened.close()


def is_golden(case: str, step: Step, folder: Path) -> None:
    driven = drive(step)
    assert driven.outcome == "failed", driven
    assert driven.finished.attempts == 1
    assert_golden(f"sqlite/{case}", driven.reason, driven.finished.hint, varying={str(folder): "FOLDER"})


# -- ready


@pytest.mark.parametrize("url", [URL, "sqlite+aiosqlite:///app.db", "sqlite:///file:app.db?uri=true"])
def test_ready(connection: sqlite3.Connection, url: str) -> None:
    assert check(kinds.Ready(url=url)) == ()


def test_odd_paths(folder: Path) -> None:
    for name in ("a b?c#d%41.db", "é&x=y.db"):
        sqlite3.connect(name).execute("CREATE TABLE t (a)")
        from urllib.parse import quote

        url = f"sqlite:///{folder}/{quote(name)}"
        assert check(kinds.Tables(url=url, tables=["t"])) == []


def test_a_file_that_can_be_made_is_ready_and_not_made(folder: Path) -> None:
    assert check(kinds.Ready(url=URL)) == ()
    assert [str(change) for change in check(kinds.Tables(url=URL, tables=["users"]))] == [
        "! table users is missing"
    ]
    guarded = kinds.Sql(url=URL, sql="SELECT 1", unless="SELECT 1 FROM users")
    assert [str(change) for change in check(guarded)] == ["+ sql of 1 statement"]
    assert list(folder.iterdir()) == []


def test_never(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "junk.db").write_bytes(b"not a database " * 100)
    is_golden("no-folder", kinds.Ready(url="sqlite:///nowhere/app.db"), folder)
    is_golden("a-folder", kinds.Ready(url="sqlite:///folder"), folder)
    is_golden("not-a-database", kinds.Ready(url="sqlite:///junk.db"), folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "sealed").mkdir(mode=0o555)
    driven = drive(kinds.Ready(url="sqlite:///sealed/app.db"))
    assert driven.reason == "sealed/app.db: does not exist, and its folder cannot be written by this user"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_file_of_another_user() -> None:
    folder = new_folder("sqlite")
    folder.chmod(0o755)
    closed = folder / "closed.db"
    closed.touch(mode=0o600)
    program = (
        "import os, sys\n"
        "from inithold.errors import StepFailed\n"
        "from inithold.steps.database import Ready\n"
        "from inithold.testing import check\n"
        "step = Ready(url=f'sqlite:///{sys.argv[1]}')\n"
        "check(step)  # imports what it needs while it may read that\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: check(step)\n"
        "except StepFailed as error: print(error.message); print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, closed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message, hint = done.stdout.splitlines()
    assert_golden("sqlite/may-not-be-read", message, hint, varying={str(closed): "closed.db"})


def test_a_locked_database_is_not_yet(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    driven = drive(kinds.Ready(url=URL), timeout=0.8)
    assert driven.waited_for == ("app.db: database is locked",)
    connection.execute("ROLLBACK")
    assert drive(kinds.Ready(url=URL)).outcome == "unchanged"


def test_a_crashed_writer_is_recovered_from(connection: sqlite3.Connection, folder: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO users VALUES (1, 'a')")
    # The write-ahead log is left behind, as by a process that was killed.
    for name in ("app.db", "app.db-wal"):
        (folder / f"copy{name.removeprefix('app')}").write_bytes((folder / name).read_bytes())
    assert check(kinds.Sql(url="sqlite:///copy.db", sql="SELECT 1", unless="SELECT 1 FROM users")) == ()


# -- tables


def test_tables(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIEW names AS SELECT name FROM users")
    assert drive(kinds.Tables(url=URL, tables=["Users", {"main.users": ["ID"]}, "names"])).outcome == "unchanged"
    absent = kinds.Tables(url=URL, tables={"users": ["email"], "games": None})
    assert [str(change) for change in check(absent)] == [
        "! column users.email is missing",
        "! table games is missing",
    ]


# -- sql


def test_a_dump_runs_once(folder: Path) -> None:
    (folder / "dump.sql").write_text(
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
        "CREATE TABLE users (id INTEGER, name TEXT);\n"
        "INSERT INTO users VALUES(1,'100%s; ''x''');\n"
        "CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; SELECT CASE WHEN 1 THEN 2 END; END;\nCOMMIT;\n"
    )
    step = kinds.Sql(url=URL, file="dump.sql", unless="SELECT 1 FROM users")
    assert [drive(step).outcome, drive(step).outcome] == ["changed", "unchanged"]
    assert sqlite3.connect("app.db").execute("SELECT name FROM users").fetchall() == [("100%s; 'x'",)]


def test_failed_sql_is_rolled_back_whole(connection: sqlite3.Connection, folder: Path) -> None:
    made = "CREATE TABLE t (a);\nINSERT INTO users VALUES (1, 'a');\n"
    is_golden("sql-violation", kinds.Sql(url=URL, sql=f"{made}INSERT INTO users VALUES (1, 'b');"), folder)
    is_golden("sql-syntax", kinds.Sql(url=URL, sql=f"{made}\nSELEKT 1"), folder)
    is_golden("guard-unmet", kinds.Sql(url=URL, sql=made, unless="SELECT 1 FROM users WHERE id = 2"), folder)
    is_golden("guard-misspelt", kinds.Sql(url=URL, sql=made, unless="SELECT 1 FROM user"), folder)
    is_golden("guard-bad", kinds.Sql(url=URL, sql=made, unless="SELEKT 1"), folder)
    is_golden("guard-writes", kinds.Sql(url=URL, sql=made, unless="INSERT INTO users VALUES (1, 'a')"), folder)
    assert connection.execute("SELECT * FROM users").fetchall() == []
    assert check(kinds.Tables(url=URL, tables=["t"])) != []


def test_a_lock_is_waited_for(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    done = threading.Event()
    results = []

    def run() -> None:
        results.append(drive(kinds.Sql(url=URL, sql="INSERT INTO users VALUES (1, 'a')")))
        done.set()

    threading.Thread(target=run).start()
    assert not done.wait(0.6)
    connection.execute("COMMIT")
    assert done.wait(10)
    assert results[0].outcome == "changed"
    assert results[0].waited_for == ("app.db: database is locked",)


def test_cancel_interrupts_the_statement(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    endless = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"

    def begun() -> bool:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False

    connection.execute("PRAGMA busy_timeout = 0")
    step = kinds.Sql(url=URL, sql=f"INSERT INTO users VALUES (1, 'a'); {endless}")
    result, seconds = stopped_when(step, begun)
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY
    assert connection.execute("SELECT * FROM users").fetchall() == []
