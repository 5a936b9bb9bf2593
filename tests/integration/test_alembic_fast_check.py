"""alembic.upgrade with nothing to do: recognized by the version table alone, where that cannot be wrong."""

from __future__ import annotations

import re
import shutil
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
from inithold.steps.alembic import Upgrade, fast_check
from inithold.steps.base import Change
from inithold.testing import check, drive
from servers.postgresql import PostgreSQL

AT_HEAD: tuple[Change, ...] = ()
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


@pytest.fixture(scope="module")
def games_at_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that Alembic has brought to the head of `project`: a copy of it takes no Alembic."""
    project = AlembicProject(tmp_path_factory.mktemp("at-head"))
    project.tables("users", "games")
    upgraded(project, f"sqlite:///{project.folder}/games.db")
    return project.folder / "games.db"


@pytest.fixture
def at_head(url: str, games_at_head: Path, tmp_path: Path) -> str:
    """The URL of a database of the test's own at the head of `project`."""
    shutil.copy(games_at_head, tmp_path)
    return url


def pending(
    project: AlembicProject, url: str, target: str = "head", *, only_waits: bool = False
) -> tuple[Change, ...] | None:
    """What is told without Alembic; None where that is left to env.py."""
    context = Context("migrate", Span("0" * 32, "0" * 16), Stream([]), None, only_waits=only_waits)
    address = parse(url, ["postgresql", "sqlite"])
    return fast_check.pending(Upgrade(config=str(project.ini), target=target), address, context, exists=True)


def test_a_gate_is_told_that_something_is_pending(project: AlembicProject, database: str) -> None:
    def told() -> list[str] | None:
        changes = pending(project, database, only_waits=True)
        return None if changes is None else [str(change) for change in changes]

    assert told() == ["~ schema (empty) -> head"]
    assert drive(project.upgrade(database, target="0001")).outcome == "changed"
    assert told() == ["~ schema (an earlier revision) -> head"]
    upgraded(project, database)
    assert told() == []
    for file in (project.folder / "migrations" / "versions").glob("0002*"):
        file.unlink()
    assert told() is None, "ahead of the files: Alembic says so"


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


TOP = """
import asyncio, importlib, os, sys, time
from logging.config import fileConfig
from alembic import context
from sqlalchemy import create_engine, engine_from_config, pool, text
from sqlalchemy.ext.asyncio import async_engine_from_config, create_async_engine
from app.config import get_settings, settings
from app.db import Base
from app import models  # noqa
from app.models import Tenant, User

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)
target_metadata = Base.metadata
"""
OFFLINE = """
def run_migrations_offline() -> None:
    context.configure(
        url=config.get_main_option("sqlalchemy.url"), target_metadata=target_metadata, literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()
"""
ONLINE = """
def run_migrations_online() -> None:
    connectable = engine_from_config(
        config.get_section(config.config_ini_section, {}), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
"""
DO_RUN = """
def do_run_migrations(connection) -> None:
    context.configure(connection=connection, target_metadata=target_metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
RUN = """
if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""
WHOLE = TOP + OFFLINE + ONLINE + RUN
SET_URL = "config.set_main_option('sqlalchemy.url', {})\n"
WITH = "    with connectable.connect() as connection:\n"
USUAL = {
    "template": WHOLE,
    "alembic's generic": (TEMPLATES / "generic" / "env.py").read_text(),
    "alembic's async": (TEMPLATES / "async" / "env.py").read_text(),
    "the demo's": (Path(__file__).parents[2] / "demo" / "migrations" / "env.py").read_text(),
    "sync": SYNC_ENV,
    "async": ASYNC_ENV,
    "own url": OWN_URL_ENV,
    "url from the environment": TOP + SET_URL.format("os.environ['DATABASE_URL']") + OFFLINE + ONLINE + RUN,
    "escaped url": TOP + SET_URL.format("settings.database_url.replace('%', '%%')") + OFFLINE + ONLINE + RUN,
    "settings object": TOP + "settings = get_settings()\nif settings.url:\n    "
    + SET_URL.format("str(settings.url)") + OFFLINE + ONLINE + RUN,
    "get_url": TOP + "def get_url():\n    return os.getenv('DATABASE_URL', 'sqlite:///x.db')\n" + OFFLINE
    + ONLINE.replace("    connectable", "    section = config.get_section(config.config_ini_section)\n"
                     "    section['sqlalchemy.url'] = get_url()\n    connectable") + RUN,
    "engine of a url": TOP + "engine = create_engine(get_settings().url, pool_pre_ping=True)\n"
    + ONLINE.replace("connectable.connect", "engine.connect") + "run_migrations_online()\n",
    "async of a url": TOP + OFFLINE + DO_RUN + """
async def run_migrations_online():
    engine = create_async_engine(settings.async_url, poolclass=pool.NullPool, connect_args={"ssl": "require"})
    try:
        async with engine.begin() as connection:
            await connection.run_sync(do_run_migrations)
    finally:
        await engine.dispose()
""" + RUN.replace("    run_migrations_online()", "    asyncio.run(run_migrations_online())"),
    "sync or async": TOP + OFFLINE + DO_RUN + """
async def run_async_migrations():
    connectable = async_engine_from_config(config.get_section(config.config_ini_section), prefix="sqlalchemy.")
    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)

def run_migrations_online():
    if "+asyncpg" in settings.url:
        asyncio.run(run_async_migrations())
    else:
        with engine_from_config(config.get_section("alembic"), prefix="sqlalchemy.").connect() as connection:
            do_run_migrations(connection)
""" + RUN,
    "a connection that is handed in": TOP + OFFLINE + """
def run_migrations_online():
    connection = config.attributes.get("connection")
    if connection is None:
        with create_engine(settings.url).connect() as connection:
            context.configure(connection=connection, target_metadata=target_metadata)
            with context.begin_transaction():
                context.run_migrations()
    else:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
""" + RUN,
    "a lock around it": WHOLE.replace("            context.run_migrations()\n\nif",
        "            connection.execute(text('SELECT pg_advisory_xact_lock(7)'))\n"
        "            context.run_migrations()\n\nif"),
    "models in a loop": WHOLE.replace("target_metadata = Base.metadata\n",
        "for name in os.listdir('app/models'):\n    importlib.import_module(f'app.models.{name}')\n"
        "for path in ('..', '.'):\n    sys.path.insert(0, path)\ntarget_metadata = Base.metadata\n"),
    "a server that is waited for": WHOLE.replace(WITH,
        "    for _ in range(10):\n        try:\n            connectable.connect().close()\n            break\n"
        "        except Exception:\n            time.sleep(1)\n" + WITH),
    "filters and directives": WHOLE.replace("connection=connection,",
        "connection=connection, render_as_batch=True, compare_type=True, include_object=include_object,\n"
        "            process_revision_directives=no_empty, version_table='alembic_version',"
        ).replace(OFFLINE, "def include_object(object, name, type_, reflected, compare):\n    return name != 'x'\n"
        "def no_empty(context, revision, directives):\n    for each in directives:\n        pass\n" + OFFLINE),
    "leaves when offline": TOP + OFFLINE + ONLINE
    + "if context.is_offline_mode():\n    run_migrations_offline()\n    sys.exit()\nrun_migrations_online()\n",
    "a lambda": TOP + """
async def main():
    async with create_async_engine(settings.url).connect() as connection:
        await connection.run_sync(lambda c: context.configure(connection=c, target_metadata=target_metadata))
        await connection.run_sync(lambda _: context.run_migrations())
asyncio.run(main())
""",
    "leaves when a connection is handed in": TOP + OFFLINE + DO_RUN + """
def run_migrations_online():
    connection = config.attributes.get("connection")
    if connection is not None:
        do_run_migrations(connection)
        return
    with create_engine(settings.url).connect() as connection:
        do_run_migrations(connection)
""" + RUN,
    "no empty revisions, as in the cookbook": WHOLE.replace("connection=connection,",
        "connection=connection, process_revision_directives=no_empty,").replace(OFFLINE,
        "def no_empty(context, revision, directives):\n"
        "    if getattr(config.cmd_opts, 'autogenerate', False) or config.cmd_opts.autogenerate:\n"
        "        directives[:] = []\n" + OFFLINE),
    "another name for context": WHOLE.replace("from alembic import context", "from alembic import context as ctx")
    .replace("context.", "ctx."),
}  # fmt: skip


@pytest.mark.parametrize("env", USUAL.values(), ids=USUAL.keys())
def test_every_usual_env_is_quick(
    env: str, project: AlembicProject, at_head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.env.write_text(env)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("alembic", "sqlalchemy")]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    driven = drive(project.upgrade(at_head))
    assert (driven.outcome, driven.log) == ("unchanged", ("at 0002 by its version table",))


CONFIGURE = "context.configure(connection=connection, target_metadata=target_metadata)"
EXECUTE = "        connection.execute(text({}))\n        context.configure(connection=connection, target"
BEFORE = "        context.configure(connection=connection, target"
TENANTS = "\nfor schema in ('a', 'b'):\n    run_migrations_online()\n"
TRICKY = {
    "multidb": (TEMPLATES / "multidb" / "env.py").read_text(),
    "schemas in a loop": TOP + ONLINE + TENANTS,
    "configured in a loop": WHOLE.replace(f"        {CONFIGURE}",
        f"        for _ in 'ab':\n            {CONFIGURE}"),
    "until all are done": TOP + ONLINE + "\nwhile left():\n    run_migrations_online()\n",
    "mapped": TOP + ONLINE + "\nlist(map(run_migrations_online, urls))\n",
    "a pool of threads": TOP + DO_RUN + "\nwith Pool() as p:\n    p.map(do_run_migrations, engines)\n",
    "gathered": TOP + DO_RUN + "\nasyncio.run(asyncio.gather(*[do_run_migrations(c) for c in connections]))\n",
    "one after the other": TOP + DO_RUN + "\ndo_run_migrations(first)\ndo_run_migrations(second)\n",
    "either, then again": WHOLE + "\nif settings.archive:\n    run_migrations_online()\n",
    "recursion": TOP + "def go(urls):\n    " + CONFIGURE + "\n    if urls:\n        go(urls[1:])\n\ngo(urls)\n",
    "a decorator": WHOLE.replace("def run_migrations_online", "@for_each_database\ndef run_migrations_online"),
    "a class": TOP + "class Runner:\n    def run(self):\n        " + CONFIGURE + "\n\nRunner().run()\n",
    "version table": WHOLE.replace("connection=connection,", "connection=connection, version_table='games',"),
    "version schema": WHOLE.replace("connection=connection,", "connection=connection, version_table_schema=S,"),
    "options": WHOLE.replace("connection=connection,", "connection=connection, **options,"),
    "options of an extension": WHOLE.replace("connection=connection,",
        "connection=connection, **current_app.extensions['migrate'].configure_args,"),
    "positional": WHOLE.replace("connection=connection,", "connection, "),
    "search path": WHOLE.replace(BEFORE, EXECUTE.format("f'SET search_path TO {schema}'")),
    "role": WHOLE.replace(BEFORE, EXECUTE.format("'SET ROLE owner'")),
    "use": WHOLE.replace(BEFORE, EXECUTE.format("'USE other'")),
    "use a variable": WHOLE.replace(BEFORE, EXECUTE.format("f'USE {schema}'")),
    "local schema": WHOLE.replace(BEFORE, EXECUTE.format("f'SET LOCAL SCHEMA {schema}'")),
    "leaves at last, whatever was done": TOP + DO_RUN + "def go():\n    try:\n        if settings.archive:\n"
        "            return do_run_migrations(a)\n    finally:\n        do_run_migrations(b)\n\ngo()\n",
    "goes on where it does not leave": TOP + DO_RUN + "def go():\n    if settings.archive:\n"
        "        do_run_migrations(a)\n    do_run_migrations(b)\n\ngo()\n",
    "other revision files": WHOLE.replace("target_metadata = B",
        "context.script.version_locations = [settings.versions]\ntarget_metadata = B"),
    "the command line": WHOLE.replace("target_metadata = B", "command = config.cmd_opts.cmd\ntarget_metadata = B"),
    "stamped first, by its full name": WHOLE.replace("target_metadata = B",
        "import alembic\nalembic.command.stamp(config, 'head')\ntarget_metadata = B"),
    "search path of the engine": WHOLE.replace("poolclass=pool.NullPool",
        "connect_args={'options': '-csearch_path=app'}"),
    "translated": WHOLE.replace(WITH, WITH + "        connection = connection.execution_options("
        "schema_translate_map={None: 'app'})\n"),
    "default schema": WHOLE.replace(WITH, WITH + "        connection.dialect.default_schema_name = 'app'\n"),
    "a schema given by -x": WHOLE.replace("target_metadata = B",
        "schema = context.get_x_argument(as_dictionary=True).get('schema')\ntarget_metadata = B"),
    "a tenant": WHOLE.replace("target_metadata = B", "tenant = os.environ['TENANT']\ntarget_metadata = B"),
    "elsewhere": "from app.migrations import run\nrun()\n",
    "elsewhere, too": WHOLE.replace("target_metadata = B",
        "from app.schemas import migrate_schemas\nmigrate_schemas()\ntarget_metadata = B"),
    "prepared elsewhere": WHOLE.replace(WITH, WITH + "        settings.prepare(connection)\n"),
    "executed": TOP + "exec(open('other_env.py').read())\n",
    "looked up": TOP + "getattr(context, 'config' + 'ure')(connection=connection)\n",
    "stamped first": WHOLE.replace("target_metadata = B",
        "from alembic import command\ncommand.stamp(config, 'head')\ntarget_metadata = B"),
    "a context of its own": TOP + "from alembic.migration import MigrationContext\n"
        "MigrationContext.configure(connection, opts={'version_table': 'x'}).run_migrations()\n",
    "SQL of elsewhere": WHOLE.replace(BEFORE, EXECUTE.format("settings.before_migrating")),
    "settings of elsewhere": WHOLE.replace("poolclass=pool.NullPool",
        "connect_args={'options': settings.options}"),
    "keywords of elsewhere": WHOLE.replace("poolclass=pool.NullPool", "**settings.ENGINE"),
    "connected as elsewhere": WHOLE.replace("poolclass=pool.NullPool", "connect_args=settings.connect_args()"),
    "configured by another": WHOLE + "\nsettings.finish(partial(context.configure, version_table='x'))\n",
    "one thread a database": TOP + DO_RUN + "\nwith ThreadPoolExecutor() as pool:\n"
        "    pool.submit(do_run_migrations, a)\n"
        "    pool.submit(do_run_migrations, b)\n",
    "a second database where it is asked for": WHOLE + "\nif 'ALL' in os.environ:\n    for url in settings.urls:\n"
        "        run_migrations_online()\n",
    "a table of the ini file": WHOLE.replace("connection=connection,",
        "connection=connection, version_table=config.get_main_option('version_table'),"),
    "no Python": "context.configure(\n",
}  # fmt: skip


@pytest.mark.parametrize("env", TRICKY.values(), ids=TRICKY.keys())
def test_any_other_env_is_asked_itself(env: str, project: AlembicProject, at_head: str) -> None:
    assert pending(project, at_head) == AT_HEAD
    assert env not in USUAL.values()
    project.env.write_text(env)
    assert pending(project, at_head) is None


@pytest.mark.parametrize("at", ["", "0001", "0002"])
def test_pending_revisions_are_told_as_alembic_would(at: str, project: AlembicProject, database: str) -> None:
    project.revision("0003", "add scores")
    project.revision("0004", "")
    if at:
        drive(project.upgrade(database, target=at))
    quick = check(project.upgrade(database))
    assert pending(project, database) is not None
    project.env.write_text(SYNC_ENV.replace("connection=connection", "connection=connection, as_sql=bool(0)"))
    assert pending(project, database) is None
    assert check(project.upgrade(database)) == quick
    assert len(quick[0].details) == 4 - int(at or 0)


def test_a_first_start_makes_no_file_to_look_at(project: AlembicProject, url: str, tmp_path: Path) -> None:
    (change,) = check(project.upgrade(url))
    assert change.what == "schema (empty) -> head (2 revisions)"
    assert not (tmp_path / "games.db").exists()


def test_a_revision_that_is_not_known_is_left_to_alembic(project: AlembicProject, at_head: str) -> None:
    next(project.versions.glob("0002*")).unlink()
    assert pending(project, at_head) is None
    assert "it is ahead of them" in drive(project.upgrade(at_head)).reason


def test_the_log_says_which_way_was_taken(project: AlembicProject, at_head: str) -> None:
    assert drive(project.upgrade(at_head)).log == ("at 0002 by its version table",)
    project.env.write_text(
        SYNC_ENV.replace("connection=connection", "connection=connection, version_table=str('v')")
    )
    reason = drive(project.upgrade(at_head)).log[0]
    assert re.fullmatch(
        r"env.py is asked for the revision: env.py line \d+ configures with version_table, which cannot be read",
        reason,
    )


def test_a_project_in_pyproject(project: AlembicProject, at_head: str) -> None:
    toml = project.folder / "pyproject.toml"
    toml.write_text('[tool.alembic]\nscript_location = "%(here)s/migrations"\nprepend_sys_path = ["."]\n')
    project.ini.unlink()
    context = Context("migrate", Span("0" * 32, "0" * 16), Stream([]), None)
    arguments = (Upgrade(config=str(toml)), parse(at_head), context)
    assert fast_check.pending(*arguments, exists=True) == AT_HEAD
    toml.write_text(toml.read_text() + 'version_locations = ["a", "b"]\n')
    assert fast_check.pending(*arguments, exists=True) is None


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
        lambda project: project.revision("0002b", "a second head", down="0001"),
        change("revision = '0002'", "revision = '0001'"),
        change("down_revision = '0001'", "down_revision = '0000'"),
        change("down_revision = '0001'", "down_revision = find('0001')"),
        change("down_revision = '0001'", "down_revision = '0001'\nbranch_labels = ('games',)"),
        change("down_revision = '0001'", "down_revision = '0001'\ndepends_on = '0001'"),
        change("down_revision = '0001'", "down_revision = None"),
        change("down_revision = '0001'", "down_revision = '0001'\nif True:\n    revision = '0003'"),
        lambda project: project.revision("0001", "add users", down="0001"),
        lambda project: project.ini.write_text(INI.replace("prepend", "version_locations = x\nprepend")),
        lambda project: project.ini.write_text(INI.replace("prepend", "databases = a, b\nprepend")),
        lambda project: project.env.unlink(),
        lambda project: project.ini.unlink(),
    ],
    ids=["two-heads", "twice", "unknown-parent", "computed", "label", "dependency", "two-roots", "again", "cycle",
         "elsewhere", "databases", "no-env", "no-ini"],
)  # fmt: skip
def test_other_files_are_left_to_alembic(
    edit: Callable[[AlembicProject], object], project: AlembicProject, at_head: str
) -> None:
    edit(project)
    assert pending(project, at_head) is None


def test_options_that_say_the_default_are_no_doubt(project: AlembicProject, at_head: str) -> None:
    for options, told in (
        ("sourceless = false\nrecursive_version_locations = False", AT_HEAD),
        ("sourceless = true", None),
    ):
        project.ini.write_text(INI.replace("prepend", f"{options}\nprepend"))
        assert pending(project, at_head) == told


def test_a_target_is_met_only_where_it_is_the_head(project: AlembicProject, at_head: str) -> None:
    answers = [pending(project, at_head, target) for target in ("head", "heads", "0002", "0001", "000")]
    assert answers == [AT_HEAD, AT_HEAD, AT_HEAD, None, None]


def test_a_url_that_says_more_is_not_judged(project: AlembicProject, database: str) -> None:
    upgraded(project, database)
    assert pending(project, f"{database}?connect_timeout=5&schema=public&connection_limit=5") == AT_HEAD
    assert pending(project, f"{database}?options=-csearch_path%3Dother") is None


def test_a_version_table_of_its_own_is_read(
    project: AlembicProject, database: str, postgresql: PostgreSQL
) -> None:
    own = "connection=connection, version_table='applied', version_table_schema='meta'"
    project.env.write_text(SYNC_ENV.replace("connection=connection", own))
    postgresql.execute("CREATE SCHEMA meta", name_of(database))
    postgresql.execute("CREATE TABLE applied (version_num varchar(32))", name_of(database))
    assert [change.what for change in pending(project, database, only_waits=True) or ()] == [
        "schema (empty) -> head"
    ]
    upgraded(project, database)
    assert pending(project, database) == AT_HEAD
    postgresql.execute("UPDATE meta.applied SET version_num = '0001'", name_of(database))
    (change,) = pending(project, database) or ()
    assert change.what == "schema 0001 -> head (1 revision)"
    project.env.write_text(
        SYNC_ENV.replace("connection=connection", "connection=connection, version_table='users'")
    )
    assert pending(project, database) is None, "no table of Alembic's"


def test_a_second_version_table_is_a_doubt(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    upgraded(project, database)
    postgresql.execute("CREATE SCHEMA other", name_of(database))
    postgresql.execute("CREATE TABLE other.alembic_version (version_num varchar(32))", name_of(database))
    assert pending(project, database) is None
    assert not check(project.upgrade(database))


def test_two_rows_are_not_one_head(project: AlembicProject, database: str, postgresql: PostgreSQL) -> None:
    upgraded(project, database)
    postgresql.execute("INSERT INTO alembic_version VALUES ('0001')", name_of(database))
    assert pending(project, database) is None


def test_a_table_that_may_not_be_read_is_alembics_to_meet(
    project: AlembicProject, database: str, postgresql: PostgreSQL
) -> None:
    upgraded(project, database)
    user = f"reader_{name_of(database)}"
    postgresql.create_user(user, "pw-of-reader")
    try:
        as_reader = postgresql.dsn(name_of(database), user=user, password="pw-of-reader")
        assert pending(project, as_reader) is None
        driven = drive(project.upgrade(as_reader))
        assert driven.outcome == "failed"
        assert "alembic_version" in driven.reason
    finally:
        postgresql.execute(f'DROP ROLE "{user}"')
