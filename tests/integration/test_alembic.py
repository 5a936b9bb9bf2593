"""alembic.upgrade against real databases: what it does, says and leaves alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alembic_project import (
    INI,
    SYNC_ENV,
    AlembicProject,
    failure,
    name_of,
    table,
    tables_in,
)
from golden import assert_golden
from inithold.runner.events import LogLine
from inithold.testing import check, drive
from servers.postgresql import PostgreSQL


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path)


# -- what it does


def test_empty_database_is_brought_to_head_and_then_left_alone(
    project: AlembicProject, database: str, postgresql: PostgreSQL, capfd: pytest.CaptureFixture[str]
) -> None:
    project.tables("users", "games", "seats")

    first = drive(project.upgrade(database))
    assert first.outcome == "changed", first.finished
    (change,) = first.finished.changes
    assert str(change) == "~ schema (empty) -> head (3 revisions)"
    assert change.details == ("0001 add users", "0002 add games", "0003 add seats")
    assert tables_in(postgresql, database) == {"alembic_version", "users", "games", "seats"}

    second = drive(project.upgrade(database))
    assert (second.outcome, second.changes) == ("unchanged", ())
    assert capfd.readouterr() == ("", "")


def test_pending_revisions_start_where_the_database_is(project: AlembicProject, database: str) -> None:
    project.tables("users", "games", "seats")
    drive(project.upgrade(database, target="0001"))

    (change,) = check(project.upgrade(database))
    assert str(change) == "~ schema 0001 -> head (2 revisions)"
    assert change.details == ("0002 add games", "0003 add seats")
    (one,) = check(project.upgrade(database, target="0002"))
    assert (str(one), one.details) == ("~ schema 0001 -> 0002 (1 revision)", ("0002 add games",))


def test_check_writes_nothing(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    project.tables("users")
    check(project.upgrade(database))
    assert tables_in(postgresql, database) == set()


def test_alembics_lines_reach_the_log_once_and_only_there(
    project: AlembicProject, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project.tables("users", "games")
    driven = drive(project.upgrade(database))
    said = [event.text for event in driven.events if isinstance(event, LogLine) and event.level == "info"]
    assert said == [
        "Context impl PostgresqlImpl.",
        "Will assume transactional DDL.",
        "Running upgrade  -> 0001, add users",
        "Running upgrade 0001 -> 0002, add games",
    ]
    assert capfd.readouterr() == ("", "")


def test_lines_reach_the_log_without_a_logging_configuration_too(tmp_path: Path, database: str) -> None:
    env = SYNC_ENV.replace("    fileConfig(config.config_file_name)", "    pass")
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    assert "Running upgrade  -> 0001, add users" in drive(project.upgrade(database)).log


def test_what_revisions_print_and_log_reaches_the_log(
    tmp_path: Path, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ini = INI.replace("keys = root,sqlalchemy,alembic", "keys = root,sqlalchemy,alembic,app")
    ini += "\n[logger_app]\nlevel = INFO\nhandlers = console\nqualname = app.data\npropagate = 0\n"
    project = AlembicProject(tmp_path, ini=ini)
    project.revision(
        "0001",
        "say things",
        "import logging",
        'print("printed", "by a revision")',
        'print("no end of line", end="")',
        'logging.getLogger("app.data").info("filled in %d rows", 7)',
        'logging.getLogger("app.data").debug("too fine")',
        'logging.getLogger("alembic").info("of its own")',
        'logging.getLogger("elsewhere").info("below the threshold of env.py")',
        'logging.getLogger("elsewhere").warning("above it")',
    )
    driven = drive(project.upgrade(database))
    assert driven.outcome == "changed", driven.finished
    expected = ["printed by a revision", "filled in 7 rows", "of its own", "above it", "no end of line"]
    assert [line for line in driven.log if line in expected] == expected
    assert not [line for line in driven.log if "too fine" in line or "below the" in line]
    assert capfd.readouterr() == ("", "")


# -- branches


def test_branches(project: AlembicProject, database: str) -> None:
    project.revision("aaaa1", "root")
    project.revision("bbbb1", "left", table("lefts"), down="aaaa1", branch_labels=("left",))
    project.revision("cccc1", "right", table("rights"), down="aaaa1", branch_labels=("right",))
    assert_golden("alembic/multiple-heads", *failure(project.upgrade(database)))
    assert drive(project.upgrade(database, target="left@head")).outcome == "changed"
    assert drive(project.upgrade(database, target="bbbb")).outcome == "unchanged"
    assert drive(project.upgrade(database, target="heads")).changes == ("~ schema bbbb1 -> heads (1 revision)",)
    assert drive(project.upgrade(database, target="right@head")).outcome == "unchanged"
    project.revision("dddd1", "merge", down=("bbbb1", "cccc1"))
    (change,) = check(project.upgrade(database))
    assert change.what == "schema bbbb1, cccc1 -> head (1 revision)"


def test_what_another_branch_depends_on_counts_as_applied(project: AlembicProject, database: str) -> None:
    project.revision("aaaa1", "library", table("library"))
    project.revision("bbbb1", "app", table("app"), down=(), depends_on="aaaa1")
    assert drive(project.upgrade(database, target="heads")).outcome == "changed"
    assert drive(project.upgrade(database, target="aaaa1")).outcome == "unchanged"


# -- secrets


def test_no_secret_is_said(tmp_path: Path, database: str, postgresql: PostgreSQL) -> None:
    user, password = f"u{time.time_ns()}", "planted-secret-4711"
    postgresql.create_user(user, password)
    url = postgresql.dsn(name_of(database), user=user, password=password)
    env = SYNC_ENV + "\nprint('connected to', config.get_main_option('sqlalchemy.url'))"
    for number, source in enumerate(
        (env, SYNC_ENV + "raise ValueError(config.get_main_option('sqlalchemy.url'))")
    ):
        project = AlembicProject(tmp_path / str(number), source)
        project.revision("0001", "echo", f"raise ValueError('{url}')" if number else "pass")
        driven = drive(project.upgrade(url))
        assert driven.events
        assert password not in repr(driven.events) + repr(driven.finished) + repr(project.upgrade(url))
