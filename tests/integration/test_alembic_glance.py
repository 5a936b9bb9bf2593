"""alembic.upgrade with nothing to do: told by the version table alone, only where that cannot be wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import alembic
import pytest

from alembic_project import ASYNC_ENV, INI, OWN_URL_ENV, SYNC_ENV, AlembicProject, name_of
from inithold.runner.context import Context
from inithold.runner.events import Span
from inithold.runner.stream import Stream
from inithold.steps.address import parse
from inithold.steps.alembic import glance
from inithold.testing import check, drive
from servers.postgresql import PostgreSQL

TEMPLATES = Path(alembic.__file__).parent / "templates"
WITHOUT_ALEMBIC = """
import sys
from inithold.steps.alembic import Upgrade
from inithold.testing import check
assert check(Upgrade(config=sys.argv[1], url=sys.argv[2])) == ()
print(sorted(name for name in sys.modules if name.split(".")[0] in ("alembic", "sqlalchemy")))
"""


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    project = AlembicProject(tmp_path)
    project.tables("users", "games")
    return project


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/games.db"


def holds(project: AlembicProject, url: str, target: str = "head") -> bool:
    context = Context("migrate", Span("0" * 32, "0" * 16), Stream([]), None)
    address = parse(url, ["postgresql", "sqlite"])
    return glance.holds(str(project.ini), "alembic", target, address, context)


def upgraded(project: AlembicProject, url: str) -> None:
    driven = drive(project.upgrade(url))
    assert driven.outcome == "changed", driven.finished


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["sync", "async"])
def test_at_head_nothing_of_alembic_is_imported(env: str, project: AlembicProject, database: str) -> None:
    project.env.write_text(env)
    upgraded(project, database)
    command = [sys.executable, "-c", WITHOUT_ALEMBIC, str(project.ini), database]
    done = run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("template", ["generic", "async"])
def test_the_env_that_alembic_init_writes_is_no_doubt(template: str, project: AlembicProject, url: str) -> None:
    upgraded(project, url)
    project.env.write_text((TEMPLATES / template / "env.py").read_text())
    assert holds(project, url)


@pytest.mark.parametrize(
    "env",
    [
        (TEMPLATES / "multidb" / "env.py").read_text(),
        OWN_URL_ENV,
        SYNC_ENV.replace("connection=connection", "connection=connection, version_table='games_version'"),
        SYNC_ENV.replace("connection=connection", "connection=connection, **options"),
        SYNC_ENV.replace("connectable =", "config.set_main_option('sqlalchemy.url', 'x')\nconnectable ="),
        SYNC_ENV.replace("connectable =", "section = config.get_section(config.config_ini_section)\n"
                         "section['sqlalchemy.url'] = 'sqlite:///x'\nconnectable ="),
        SYNC_ENV.replace("    context.configure", "    connection.execute('SET ...')\n    context.configure"),
        SYNC_ENV.replace("    context.configure(connection=connection)",
                         "    for schema in 'ab':\n        context.configure(connection=connection)"),
        SYNC_ENV.replace("poolclass=pool.NullPool", "poolclass=pool.NullPool, connect_args={}"),
        "from app.migrations import run\nrun()\n",
        "context.configure(\n",
    ],
    ids=["multidb", "own-url", "table", "options", "other-url", "other-section", "schema", "loop", "arguments",
         "elsewhere", "no-python"],
)  # fmt: skip
def test_any_other_env_is_asked_itself(env: str, project: AlembicProject, url: str) -> None:
    upgraded(project, url)
    assert holds(project, url)
    project.env.write_text(env)
    assert not holds(project, url)


def change(old: str, new: str) -> Callable[[AlembicProject], object]:
    def edit(project: AlembicProject) -> None:
        file = next(project.versions.glob("0002*"))
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda project: project.revision("0003", "add scores"),
        lambda project: project.revision("0002b", "a second head", down="0001"),
        change("revision = '0002'", "revision = '0001'"),
        change("down_revision = '0001'", "down_revision = '0000'"),
        change("down_revision = '0001'", "down_revision = find('0001')"),
        change("down_revision = '0001'", "down_revision = '0001'\nbranch_labels = ('games',)"),
        change("down_revision = '0001'", "down_revision = '0001'\ndepends_on = '0001'"),
        change("down_revision = '0001'", "down_revision = None"),
        lambda project: project.ini.write_text(INI.replace("prepend", "version_locations = x\nprepend")),
        lambda project: project.env.unlink(),
        lambda project: project.ini.unlink(),
    ],
    ids=["pending", "two-heads", "twice", "unknown-parent", "computed", "label", "dependency", "two-roots",
         "elsewhere", "no-env", "no-ini"],
)  # fmt: skip
def test_other_files_are_left_to_alembic(
    edit: Callable[[AlembicProject], object], project: AlembicProject, url: str
) -> None:
    upgraded(project, url)
    edit(project)
    assert not holds(project, url)


def test_a_target_is_met_only_where_it_is_the_head(project: AlembicProject, url: str) -> None:
    upgraded(project, url)
    assert [holds(project, url, target) for target in ("head", "heads", "0002", "0001", "000")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_url_that_says_more_is_not_judged(project: AlembicProject, database: str) -> None:
    upgraded(project, database)
    assert holds(project, f"{database}?connect_timeout=5")
    assert not holds(project, f"{database}?options=-csearch_path%3Dother")


def test_a_second_version_table_is_a_doubt(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    upgraded(project, database)
    postgresql.execute("CREATE SCHEMA other", name_of(database))
    postgresql.execute("CREATE TABLE other.alembic_version (version_num varchar(32))", name_of(database))
    assert not holds(project, database)
    assert not check(project.upgrade(database))


def test_two_rows_are_not_one_head(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    upgraded(project, database)
    postgresql.execute("INSERT INTO alembic_version VALUES ('0001')", name_of(database))
    assert not holds(project, database)


def test_a_table_that_may_not_be_read_is_alembics_to_meet(
    project: AlembicProject, database: str, postgresql: PostgreSQL
) -> None:
    upgraded(project, database)
    user = f"reader_{name_of(database)}"
    postgresql.create_user(user, "pw-of-reader")
    try:
        as_reader = postgresql.dsn(name_of(database), user=user, password="pw-of-reader")
        assert not holds(project, as_reader)
        driven = drive(project.upgrade(as_reader))
        assert driven.outcome == "failed"
        assert "alembic_version" in driven.reason
    finally:
        postgresql.execute(f'DROP ROLE "{user}"')
