"""alembic.upgrade on projects with something wrong: each fault has a message of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alembic_project import INI, LOGGING, SYNC_ENV, AlembicProject, failure, table
from golden import assert_golden
from inithold.steps.alembic import Upgrade
from inithold.testing import check, drive


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path)


def on_sqlite(project: AlembicProject, **fields: Any) -> Upgrade:
    return project.upgrade(f"sqlite:///{project.folder}/games.db", **fields)


def faulty(
    case: str, edit: Callable[[AlembicProject], object], **fields: Any
) -> tuple[str, Callable[[AlembicProject], object], dict[str, Any]]:
    return case, edit, fields


def two_files(project: AlembicProject) -> None:
    project.revision("0001", "add teams", table("teams"), down=())


def circle(project: AlembicProject) -> None:
    project.revision("aaaa1", "chicken", down="bbbb1")
    project.revision("bbbb1", "egg", down="aaaa1")


FAULTS = [
    faulty("no-ini", lambda p: p.ini.unlink()),
    faulty("no-section", lambda p: p.ini.write_text(LOGGING)),
    faulty("other-section", lambda p: p, name="games"),
    faulty("not-an-ini", lambda p: p.ini.write_text("script_location: migrations\n")),
    faulty("binary-ini", lambda p: p.ini.write_bytes(b"[alembic]\nscript_location = \xff\xfe\n")),
    faulty("percent-in-ini", lambda p: p.ini.write_text("[alembic]\nscript_location = 100%/migrations\n")),
    faulty("no-script-location", lambda p: p.ini.write_text("[alembic]\nprepend_sys_path = .\n")),
    faulty(
        "script-location-missing", lambda p: p.ini.write_text("[alembic]\nscript_location = %(here)s/elsewhere\n")
    ),
    faulty("script-location-module", lambda p: p.ini.write_text("[alembic]\nscript_location = nowhere:mig\n")),
    faulty("no-env", lambda p: p.env.unlink()),
    faulty("no-versions", lambda p: (p.versions / "0001_add_users.py").unlink() or p.versions.rmdir()),
    faulty("syntax-error", lambda p: p.revision("0002", "bad", "x = = 1")),
    faulty("import-error", lambda p: p.revision("0002", "bad").open("a").write("\nimport nowhere_to_be_found\n")),
    faulty("no-revision-id", lambda p: (p.versions / "notes.py").write_text("'''notes'''\n")),
    faulty("same-revision", two_files),
    faulty("missing-parent", lambda p: p.revision("0003", "add seats", down="0002")),
    faulty("missing-dependency", lambda p: p.revision("0003", "add seats", depends_on="0002")),
    faulty("circle", circle),
    faulty("own-parent", lambda p: p.revision("cccc1", "loop", down="cccc1")),
    faulty("unknown-target", lambda p: p, target="9999"),
    faulty("ambiguous-target", lambda p: (p.revision("abcd12", "a"), p.revision("abcd34", "b")), target="abcd"),
    faulty("unknown-branch", lambda p: p, target="nobody@head"),
    faulty("env-exits", lambda p: p.env.write_text("import sys\nsys.exit('set APP_ENV first')\n")),
    faulty("env-runs-nothing", lambda p: p.env.write_text("from alembic import context\n")),
    faulty("env-import-error", lambda p: p.env.write_text("import nowhere_to_be_found\n")),
    faulty("env-syntax-error", lambda p: p.env.write_text("x = = 1\n")),
    faulty("env-fails", lambda p: p.env.write_text("x = 1\nraise RuntimeError('no tenant')\n")),
    faulty(
        "env-fails-in-group",
        lambda p: p.env.write_text("raise BaseExceptionGroup('tasks', [RuntimeError('no tenant')])\n"),
    ),
    faulty("env-cancelled", lambda p: p.env.write_text("import asyncio\nraise asyncio.CancelledError\n")),
    faulty(
        "env-command-error",
        lambda p: p.env.write_text(
            "from alembic import context, util\nraise util.CommandError('Tenant is not configured')\n"
        ),
    ),
    faulty(
        "env-sync-driver-missing",
        lambda p: p.env.write_text(
            "from sqlalchemy import create_engine\ncreate_engine('postgresql+nodriver://db/x')\n"
        ),
    ),
]


@pytest.mark.parametrize(("case", "edit", "fields"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_faults(
    case: str, edit: Callable[[AlembicProject], object], fields: dict[str, Any], project: AlembicProject
) -> None:
    project.revision("0001", "add users", table("users"))
    (project.folder / "games.db").touch()
    edit(project)
    varying = {str(project.folder): "FOLDER", str(Path.cwd()): "HERE"}
    assert_golden(f"alembic/{case}", *failure(on_sqlite(project, **fields)), varying=varying)


def test_a_database_file_without_its_folder(project: AlembicProject) -> None:
    project.tables("users")
    message, _ = failure(project.upgrade("sqlite:////nowhere/at/all/games.db"))
    assert message.startswith(("/nowhere/at/all/games.db: ", "sqlite:////nowhere/at/all/games.db: "))


def test_a_secret_in_the_ini_file_is_not_said(tmp_path: Path) -> None:
    # An unescaped per cent sign: the parser's message quotes the whole value.
    ini = INI.replace("driver://user:pass@localhost/dbname", "postgresql://app:planted%40secret@db/games")
    project = AlembicProject(tmp_path, ini=ini)
    project.tables("users")
    message, hint = failure(project.upgrade())
    assert "planted" not in message
    assert hint == "a per cent sign in an ini file is written %%"


def test_a_project_without_revisions_holds_and_says_so(project: AlembicProject) -> None:
    driven = drive(on_sqlite(project))
    assert driven.outcome == "unchanged", driven.finished
    assert any("has no revisions" in line for line in driven.log)


@pytest.mark.skipif("not hasattr(__import__('alembic.config').config.Config, 'toml_file_name')")
def test_pyproject(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path)
    project.tables("users")
    project.ini.unlink()
    env = SYNC_ENV.replace("fileConfig(", "print(")
    project.env.write_text(env)
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.alembic]\nscript_location = "%(here)s/migrations"\n')
    step = Upgrade(config=str(file), url=f"sqlite:///{tmp_path}/games.db")
    assert drive(step).outcome == "changed", drive(step).finished
    assert drive(step).outcome == "unchanged"


def test_relative_paths(project: AlembicProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start at the working directory, as for Alembic itself."""
    project.tables("users")
    monkeypatch.chdir(project.folder)
    project.ini.write_text(INI.replace("%(here)s/migrations", "migrations"))
    assert [str(change) for change in check(Upgrade(url="sqlite:///games.db"))] == [
        "~ schema (empty) -> head (1 revision)"
    ]
    assert not Path("games.db").exists()
