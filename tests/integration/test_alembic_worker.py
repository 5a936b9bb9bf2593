"""alembic.upgrade runs env.py in a process of its own: whatever that does, the run and the other steps go on."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

from alembic_project import INI, OWN_URL_ENV, SYNC_ENV, AlembicProject, failure, name_of, table, tables_in
from inithold.runner.worker import ASK_AGAIN
from inithold.steps.alembic import Upgrade
from inithold.testing import drive
from servers.inithold import Inithold, Running
from servers.postgresql import PostgreSQL
from servers.run import is_alive


def on_sqlite(project: AlembicProject, **fields: Any) -> Upgrade:
    return project.upgrade(f"sqlite:///{project.folder}/games.db", **fields)


# -- what Alembic's own command line leaves


def test_cmd_opts_are_those_of_the_command_line(tmp_path: Path, database: str) -> None:
    env = SYNC_ENV + "\noptions = config.cmd_opts\n"
    env += "print('did', options.cmd[0].__name__, 'with', options.config, options.name, options.x)\n"
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    driven = drive(project.upgrade(database, x=("a=1", "-b")))
    assert driven.outcome == "changed", driven.finished
    said = [(event.level, event.text) for event in driven.events if getattr(event, "text", "").startswith("did")]
    left = f"with [{str(project.ini)!r}] alembic ['a=1', '-b']"
    assert ("info", f"did upgrade {left}") in said
    assert ("debug", f"did current {left}") in said


# -- what env.py may do

SHARED = """
import sqlalchemy as sa

metadata = sa.MetaData()
names = []


def register(name):
    if name in names:
        raise ValueError(f"duplicated: {name}")
    names.append(name)
"""


MODELS = """
import sqlalchemy as sa
from prometheus_client import Counter
from registry_of_a_library import metadata, register

register("logins")
Counter("logins", "since the start")
sa.Table("user", metadata, sa.Column("NAME", sa.Integer))
"""


def test_two_projects_of_one_plan_share_nothing(
    tmp_path: Path, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    """Both register the same things with two libraries, and a package of the same name."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "registry_of_a_library.py").write_text(SHARED)
    env = f"from app.models import metadata\n{SYNC_ENV}"
    steps, urls = [], {}
    for name in ("one", "two"):
        project = AlembicProject(tmp_path / name, env)
        project.tables(f"table_of_{name}")
        (project.folder / "app").mkdir()
        (project.folder / "app" / "models.py").write_text(MODELS.replace("NAME", name))
        urls[f"URL_{name}"] = postgresql.create_database()
        steps.append(
            f"  - {{id: {name}, uses: alembic.upgrade, needs: [], "
            f"with: {{config: {project.ini}, url: '${{URL_{name}}}'}}}}\n"
        )
    (run_inithold.folder / "inithold.yaml").write_text(f"version: 1\nsteps:\n{''.join(steps)}")
    variables = {**urls, "PYTHONPATH": str(library)}
    init = run_inithold.start("run", "--verify", "1s", env=variables)
    try:
        init.wait_for_hold()
        for name in ("one", "two"):
            assert f"table_of_{name}" in tables_in(postgresql, urls[f"URL_{name}"])
            # Nobody can tell any more without env.py.
            postgresql.execute("CREATE SCHEMA other", name_of(urls[f"URL_{name}"]))
            postgresql.execute("CREATE TABLE other.alembic_version ()", name_of(urls[f"URL_{name}"]))
        time.sleep(6)
        assert init.process.poll() is None
        assert init.marker.exists(), init.output
        assert "no longer" not in init.output
        again = run_inithold("plan", "--exit-code", env=variables)
        assert again.returncode == 0, again.stdout + again.stderr
    finally:
        init.end()
        for url in urls.values():
            postgresql.drop_database(name_of(url))


@pytest.mark.parametrize(
    ("how", "message", "hint"),
    [
        ("import os; os._exit(3)", "its process exited 3 before it was done", "os._exit"),
        ("import os; os._exit(0)", "its process exited 0 before it was done", "os._exit"),
        ("import os; os.kill(os.getpid(), 11)", "its process was killed by SIGSEGV before it was done", "crashed"),
        ("import os; os.kill(os.getpid(), 9)", "its process was killed by SIGKILL before it was done", "memory"),
        ("import os; os.closerange(3, 2000); import time; time.sleep(60)", "was killed by SIGKILL", "memory"),
        ("import sys; sys.exit('set APP_ENV')", "env.py failed: .*sys.exit", "alembic current"),
        ("x = bytearray(1 << 48)", "MemoryError", "alembic current"),
        ("import os, time; os.kill(os.getpid(), 15); time.sleep(60)", "interrupted, and not by the run", "signal"),
        (
            "raise type('Odd', (Exception,), {'__str__': lambda _: 1 / 0})",
            "env.py failed: .*Odd",
            "alembic current",
        ),
        (
            "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd()); open('x')",
            "env.py failed: .*FileNotFoundError",
            "alembic current",
        ),
    ],
)
@pytest.mark.parametrize("where", ["env.py", "a revision"])
def test_a_process_that_ends_is_a_failure_that_says_so(
    how: str, message: str, hint: str, where: str, tmp_path: Path
) -> None:
    project = AlembicProject(tmp_path, f"{how}\n{SYNC_ENV}" if where == "env.py" else SYNC_ENV)
    project.revision("0001", "add users", *([] if where == "env.py" else [how]), table("users"))
    seen, next_step = failure(on_sqlite(project))
    message = message if where == "env.py" else message.replace("env.py failed: .*", "revision 0001 .*")
    assert re.search(message, seen), seen
    if where == "env.py":
        assert next_step is not None
        assert hint in next_step


@pytest.mark.parametrize(
    "how",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import os; os.close(1); os.close(2)",
        "import os; os.chdir('/')",
        "import sys; sys.path.clear()",
        "import subprocess; subprocess.Popen(['sleep', '600'])",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "import os\nif os.fork() == 0: os._exit(0)",
        "import logging; logging.disable()",
        "import multiprocessing; multiprocessing.set_start_method('fork', force=True)\n"
        "p = multiprocessing.Process(target=print, args=('from a fork',)); p.start(); p.join()",
    ],
)
def test_what_env_py_does_to_its_process_stays_there(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = AlembicProject(tmp_path, f"{SYNC_ENV}\n{how}\n")
    project.tables("users")
    # The paths that the step has start at the folder in which the run was started.
    monkeypatch.chdir(tmp_path)
    project.ini.write_text(INI.replace("%(here)s/migrations", "migrations"))
    began = time.monotonic()
    driven = drive(Upgrade(config="alembic.ini", url="sqlite:///games.db"), timeout=60)
    assert driven.outcome == "changed", driven.finished
    assert time.monotonic() - began < 30
    assert Path("games.db").exists()


def test_progress_bars_are_told_before_their_end(tmp_path: Path) -> None:
    """One of Python's, and one that goes to the descriptor, as a program's does."""
    bars = "\nimport os, sys, time\nfor percent in [*range(65), '100']:\n    time.sleep(0.1)\n"
    bars += "    end = chr(10) if percent == '100' else ''\n    sys.stderr.write(f'\\rone {percent} %{end}')\n"
    bars += "    os.write(2, f'\\rtwo {percent} %{end}'.encode())\n"
    project = AlembicProject(tmp_path, SYNC_ENV + bars)
    project.tables("users")
    driven = drive(on_sqlite(project))
    assert driven.outcome == "changed", driven.finished
    for bar in ("one", "two"):
        told = [line for line in driven.log if line.startswith(bar)]
        assert 1 < len(told) < 10
        assert told[-1] == f"{bar} 100 %"


def test_a_crash_leaves_the_other_steps_alone(tmp_path: Path, run_inithold: Inithold) -> None:
    project = AlembicProject(tmp_path / "project", f"import os; os.kill(os.getpid(), 11)\n{SYNC_ENV}")
    project.tables("users")
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nsteps:\n"
        f"  - {{id: migrate, uses: alembic.upgrade, with: {{config: {project.ini}, url: 'sqlite:///x.db'}}}}\n"
        "  - {id: other, uses: command.run, needs: [], with: {run: 'sleep 2; echo done'}}\n"
    )
    done = run_inithold("run", "--once")
    assert done.returncode == 1
    assert "its process was killed by SIGSEGV" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert re.search(r"other\W.*(ran|changed)", done.stdout + done.stderr)


def test_a_worker_shows_no_secret(tmp_path: Path, run_inithold: Inithold, database: str) -> None:
    """Its arguments and variables are those of the run; what the plan resolved goes by pipe."""
    notes = tmp_path / "notes"
    env = f"from pathlib import Path\nimport os\nPath({str(notes)!r}).write_bytes("
    env += "Path('/proc/self/cmdline').read_bytes() + Path('/proc/self/environ').read_bytes())\n"
    project = AlembicProject(tmp_path / "project", env + SYNC_ENV)
    project.tables("users")
    secrets = run_inithold.folder / "secrets"
    secrets.mkdir()
    (secrets / "url").write_text(database.replace("@", "planted-secret@") if ":@" in database else database)
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nsteps:\n"
        f"  - {{id: migrate, uses: alembic.upgrade, with: {{config: {project.ini}, url: '${{secret:url}}'}}}}\n"
    )
    done = run_inithold("run", "--once", env={"INITHOLD_SECRETS_DIR": str(secrets)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert name_of(database).encode() not in notes.read_bytes()


def test_a_worker_goes_before_the_run(tmp_path: Path) -> None:
    env = f"{SYNC_ENV}\nprint('score', open('/proc/self/oom_score_adj').read().strip())\n"
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    assert "score 1000" in drive(on_sqlite(project)).log


def test_no_worker_is_left(tmp_path: Path) -> None:
    env = f"import os\nprint('pid', os.getpid())\n{SYNC_ENV}"
    project = AlembicProject(tmp_path, env)
    project.tables("users")
    driven = drive(on_sqlite(project))
    pids = {int(line.split()[1]) for line in driven.log if line.startswith("pid ")}
    assert len(pids) == 1, "check, apply and check share a process"
    assert not any(is_alive(pid) for pid in pids)


STATE = """
import os, sys
print("state", *sorted(sys.modules.keys() & {"plan_of_mine", "inithold.plan.load", "psycopg", "yaml"}))
"""
A_PLAN = """
import inithold
from inithold.steps import alembic

plan = inithold.Plan("mine")
plan.add(alembic.Upgrade(url=URL), id="migrate")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")
def test_the_first_worker_has_what_the_run_has_imported_unless_that_is_code_of_the_user_s(
    tmp_path: Path, database: str, run_inithold: Inithold
) -> None:
    AlembicProject(tmp_path, STATE + SYNC_ENV).tables("users")
    (tmp_path / "inithold.yaml").write_text(GATE.replace("WITH", f"url: '{database}'"))
    done = run_inithold("run", "--once", "--log-level", "debug")
    assert "state inithold.plan.load psycopg yaml\n" in done.stderr, done.stderr
    (tmp_path / "plan_of_mine.py").write_text(A_PLAN.replace("URL", repr(database)))
    (tmp_path / "migrations" / "versions").joinpath("0002.py").write_text(
        "revision, down_revision = '0002', '0001'\n\ndef upgrade(): pass\n"
    )
    done = run_inithold("run", "plan_of_mine:plan", "--once", "--log-level", "debug")
    assert "state\n" in done.stderr, done.stderr


def test_a_driver_that_cannot_be_imported_is_a_failure_of_the_step(
    tmp_path: Path, database: str, run_inithold: Inithold
) -> None:
    AlembicProject(tmp_path, SYNC_ENV).tables("users")
    (tmp_path / "inithold.yaml").write_text(GATE.replace("WITH", f"url: '{database}'"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "psycopg.py").write_text("raise ImportError('no pq wrapper available')\n")
    done = run_inithold("run", "--once", env={"PYTHONPATH": str(tmp_path / "broken")})
    assert done.returncode == 1, done.stderr
    assert "no pq wrapper available" in done.stderr
    assert "migrate" in done.stderr
    assert "lifecycle/run.py" not in done.stderr, "it is the step that failed"


# -- gates

BY_CODE = "version_table='app' + 'lied', "
"""Only env.py can tell which table that is."""
GATE = """
version: 1
name: gate
steps:
  - {id: migrate, uses: alembic.upgrade, with: {WITH}}
"""


def no_worker(gate: Running) -> bool:
    children = ""
    for task in Path(f"/proc/{gate.pid}/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended meanwhile
            children += (task / "children").read_text()
    return not children


def migrate(project: AlembicProject, url: str, revision: str) -> None:
    """Migrate as Alembic does by itself, in this process: it has imported it already."""
    config = Config()
    config.set_main_option("script_location", str(project.env.parent))
    config.set_main_option("sqlalchemy.url", url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_OWN_URL", url)
        command.upgrade(config, revision)


def waits_and_opens(project: AlembicProject, run_inithold: Inithold, env: dict[str, str], within: float) -> None:
    """A gate has no worker while it waits, does not open at half of the revisions, and opens in time at all."""
    gate = run_inithold.start("wait", "--log-level", "debug", env=env)
    gate.wait_for_output("schema (empty)")
    gate.wait_until(lambda: no_worker(gate), "the end of its worker")
    migrate(project, env["TEST_OWN_URL"], "0001")
    gate.wait_for_output("schema 0001 -> head (1 revision)", seconds=within)
    gate.wait_until(lambda: no_worker(gate), "the end of its worker")
    migrate(project, env["TEST_OWN_URL"], "head")
    gate.wait_until(lambda: not is_alive(gate.pid), "the end of the gate", seconds=within)
    assert gate.wait() == 0


@pytest.mark.parametrize("server", ["database", "mysql_database", "sqlite"])
@pytest.mark.parametrize("named", ["in the step", "by env.py"])
def test_a_gate_has_no_worker_while_it_waits(
    named: str, server: str, tmp_path: Path, run_inithold: Inithold, request: pytest.FixtureRequest
) -> None:
    """It compares what version tables hold, whatever their names, and asks env.py once that has changed."""
    url = f"sqlite:///{tmp_path}/games.db" if server == "sqlite" else request.getfixturevalue(server)
    own = url.replace("mysql:", "mysql+pymysql:").replace("postgresql:", "postgresql+psycopg:")
    env = SYNC_ENV if named == "in the step" else OWN_URL_ENV
    project = AlembicProject(tmp_path, env.replace("configure(", f"configure({BY_CODE}"))
    project.tables("users", "games")
    given = "url: '${URL}'" if named == "in the step" else ""
    (tmp_path / "inithold.yaml").write_text(GATE.replace("WITH", given))
    waits_and_opens(project, run_inithold, {"URL": url, "TEST_OWN_URL": own}, ASK_AGAIN / 2)


@pytest.mark.parametrize("named", ["in the step", "by env.py"])
def test_nor_without_a_driver_of_its_own(
    named: str, tmp_path: Path, run_inithold: Inithold, database: str
) -> None:
    """It cannot look at the database itself, so it asks env.py, with pauses."""
    without = tmp_path / "without"
    without.mkdir()
    (without / "psycopg.py").write_text("raise ImportError('no driver for inithold')")
    url = database.replace("postgresql:", "postgresql+psycopg2:")
    project = AlembicProject(tmp_path, SYNC_ENV if named == "in the step" else OWN_URL_ENV)
    project.tables("users", "games")
    given = "url: '${URL}'" if named == "in the step" else ""
    (tmp_path / "inithold.yaml").write_text(GATE.replace("WITH", given))
    env = {"URL": url, "TEST_OWN_URL": url, "PYTHONPATH": str(without)}
    waits_and_opens(project, run_inithold, env, 2 * ASK_AGAIN)


def test_nor_while_the_server_is_down(tmp_path: Path, run_inithold: Inithold) -> None:
    """It learns from env.py where the server is, and looks at the port itself."""
    project = AlembicProject(tmp_path, OWN_URL_ENV)
    project.tables("users")
    (tmp_path / "inithold.yaml").write_text(GATE.replace("WITH", ""))
    with PostgreSQL() as server:
        url = server.create_database().replace("postgresql:", "postgresql+psycopg:")
        env = {"TEST_OWN_URL": url}
        init = ("run", "--once", "--marker", str(tmp_path / "ready"))
        assert run_inithold(*init, env=env).returncode == 0
        server.stop()
        gate = run_inithold.start("wait", env=env)
        gate.wait_for_output("refused")
        gate.wait_until(lambda: no_worker(gate), "the end of its worker")
        server.start()
        gate.wait_until(lambda: not is_alive(gate.pid), "the end of the gate", seconds=ASK_AGAIN / 2)
        assert gate.wait() == 0
