"""Limits are kept from outside: silent connections and code that keeps the interpreter lock stop nothing.

Each of these would run on for minutes; a run must end within 6 s of the limit, and a server must not work on.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alembic_project import ASYNC_ENV, SYNC_ENV, AlembicProject, name_of, table, tables_in
from pid_namespace import UNSHARE, needs_leave, pid_one
from relay import relay
from servers.inithold import Inithold, Running
from servers.mariadb import MariaDB
from servers.postgresql import PostgreSQL
from stopping import until

WITHIN = 6.0
"""Seconds from the limit to the end."""
WITHIN_WITH_TELEMETRY = 9.0
"""The same beside a collector that takes everything and answers nothing, which may delay an exit by 3 s."""
REGEX = "import re; re.match(r'(a+)+$', 'a' * 45 + 'b')"
STUCK = """
import ctypes, time

def get_stuck(after=0):
    time.sleep(after)
    libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_init(mutex, None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""
"""Keeps the interpreter lock as REGEX does, also through signals, and needs no processor time for it."""
GET_STUCK = "import stuck; stuck.get_stuck()"


def write_plan(folder: Path, steps: str, *, lock: bool = False, timeout: str = "") -> None:
    head = "version: 1\nname: test\n"
    head += "lock: ${LOCK_URL}\n" if lock else ""
    head += f"timeout: {timeout}\n" if timeout else ""
    (folder / "inithold.yaml").write_text(f"{head}steps:\n{steps}")


def migrate(project: AlembicProject, timeout: str = "") -> str:
    bound = f", timeout: {timeout}" if timeout else ""
    return (
        f"  - {{id: migrate, uses: alembic.upgrade{bound}, "
        f"with: {{config: {project.ini}, url: '${{DATABASE_URL}}'}}}}\n"
    )


def ended(init: Running, began: float, code: int, within: float = WITHIN) -> None:
    assert init.wait(30) == code, init.output
    assert time.monotonic() - began < within, init.output
    assert not init.marker.exists()


# -- a connection that goes silent in the middle of a migration


@pytest.mark.parametrize("lock", [False, True], ids=["without a lock", "with a lock"])
@pytest.mark.parametrize("limit", ["step", "plan", "SIGTERM"])
@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["psycopg", "asyncpg"])
def test_a_connection_that_goes_silent(
    env: str, limit: str, lock: bool, tmp_path: Path, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    project = AlembicProject(tmp_path / "project", env)
    project.revision("0001", "slow", table("users"), "op.execute(\"SELECT 'silent from here'\")", table("never"))
    # Long enough to get there on a busy machine, and no longer: the end is measured from here on.
    seconds = 8.0
    write_plan(
        run_inithold.folder,
        migrate(project, f"{seconds:g}s" if limit == "step" else ""),
        lock=lock,
        timeout=f"{seconds:g}s" if limit == "plan" else "",
    )
    with relay(postgresql.port, b"silent from here", "freeze") as silent:
        url = database.replace(str(postgresql.port), str(silent.port))
        if env == ASYNC_ENV:
            url = url.replace("postgresql:", "postgresql+asyncpg:")
        began = time.monotonic()
        init = run_inithold.start("run", "--once", env={"DATABASE_URL": url, "LOCK_URL": database})
        init.wait_until(silent.failed.is_set, "the silence")
        if limit == "SIGTERM":
            limit_at = time.monotonic()
            init.signal(signal.SIGTERM)
        else:
            limit_at = began + seconds + 1  # and the start
        ended(init, limit_at, 128 + signal.SIGTERM if limit == "SIGTERM" else 1)
    assert tables_in(postgresql, database) == set()


@pytest.mark.parametrize("limit", ["step", "plan", "SIGTERM"])
def test_a_connection_that_goes_silent_beside_a_silent_collector(
    limit: str, tmp_path: Path, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    project = AlembicProject(tmp_path / "project", SYNC_ENV)
    project.revision("0001", "slow", "op.execute(\"SELECT 'silent from here'\")")
    seconds = 8.0
    write_plan(
        run_inithold.folder,
        migrate(project, f"{seconds:g}s" if limit == "step" else ""),
        lock=True,
        timeout=f"{seconds:g}s" if limit == "plan" else "",
    )
    with (
        relay(postgresql.port, b"silent from here", "freeze") as silent,
        socket.create_server(("127.0.0.1", 0), backlog=50) as collector,
    ):
        url = database.replace(str(postgresql.port), str(silent.port))
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        variables = {"DATABASE_URL": url, "LOCK_URL": database, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        began = time.monotonic()
        init = run_inithold.start("run", "--once", env=variables)
        init.wait_until(silent.failed.is_set, "the silence")
        limit_at = began + seconds + 1  # and the start
        if limit == "SIGTERM":
            limit_at = time.monotonic()
            init.signal(signal.SIGTERM)
        code = 128 + signal.SIGTERM if limit == "SIGTERM" else 1
        ended(init, limit_at, code, WITHIN_WITH_TELEMETRY)
        # It was tried, and given up.
        collector.settimeout(0)
        collector.accept()[0].close()


def test_a_server_that_does_not_answer_any_more_is_said(
    tmp_path: Path, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    """The relay swallows the connections that would end the session, too."""
    project = AlembicProject(tmp_path / "project", SYNC_ENV)
    project.revision("0001", "slow", "op.execute(\"SELECT 'silent from here'\")")
    write_plan(run_inithold.folder, migrate(project))
    with relay(postgresql.port, b"silent from here", "freeze all") as silent:
        url = database.replace(str(postgresql.port), str(silent.port))
        init = run_inithold.start("run", "--once", env={"DATABASE_URL": url})
        init.wait_until(silent.failed.is_set, "the silence")
        began = time.monotonic()
        init.signal(signal.SIGTERM)
        ended(init, began, 128 + signal.SIGTERM)
    assert f"127.0.0.1:{silent.port} did not confirm within 2 s" in init.output
    assert "did not stop within 2.5 s and was killed" in init.output


# -- what a killed worker leaves on the server


def active(database: str) -> str:
    return f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(database)}' AND wait_event = 'PgSleep'"


def test_a_statement_of_a_function_is_ended_by_its_driver(
    database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    (run_inithold.folder / "slow.py").write_text(
        "import os, psycopg\ndef main():\n    with psycopg.connect(os.environ['DATABASE_URL']) as connection:\n"
        "        connection.execute('SELECT pg_sleep(60)')\n"
    )
    write_plan(run_inithold.folder, "  - {id: slow, uses: python.call, with: {call: 'slow:main'}}\n")
    init = run_inithold.start("run", "--once", env={"DATABASE_URL": database})
    init.wait_until(lambda: bool(postgresql.execute(active(database))), "the statement")
    began = time.monotonic()
    init.signal(signal.SIGTERM)
    ended(init, began, 128 + signal.SIGTERM)
    until(lambda: not postgresql.execute(active(database)), 2)


def test_killing_everything_ends_the_statement(
    tmp_path: Path, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    project = AlembicProject(tmp_path / "project")
    project.revision("0001", "slow", table("users"), 'op.execute("SELECT pg_sleep(60)")')
    write_plan(run_inithold.folder, migrate(project), lock=True)
    init = run_inithold.start("run", env={"DATABASE_URL": database, "LOCK_URL": database})
    init.wait_until(lambda: bool(postgresql.execute(active(database))), "the migration")
    workers = init.descendants()
    os.kill(init.pid, signal.SIGKILL)
    init.wait()
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers), 5)
    until(lambda: not postgresql.execute(active(database)), 5)
    assert tables_in(postgresql, database) == set()


@pytest.mark.parametrize("kind", ["alembic.upgrade", "database.sql"])
def test_the_next_replica_waits_for_the_statement_of_a_run_that_was_killed_with_everything(
    kind: str, tmp_path: Path, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    """The lock's own session ends at once; that of the statement when the server sees that its client is gone."""
    # inithold asks for 1 s where nothing is set.
    postgresql.execute(f"ALTER DATABASE \"{name_of(database)}\" SET client_connection_check_interval = '5s'")
    project = AlembicProject(tmp_path / "project")
    project.revision("0001", "slow", table("users"), 'op.execute("SELECT pg_sleep(60)")')
    script = "  - {id: slow, uses: database.sql, with: {url: '${DATABASE_URL}', sql: 'SELECT pg_sleep(60)'}}\n"
    write_plan(run_inithold.folder, migrate(project) if kind == "alembic.upgrade" else script, lock=True)
    variables = {"DATABASE_URL": database, "LOCK_URL": database}
    statements = active(database).replace("SELECT 1", "SELECT pid")
    first = run_inithold.start("run", env=variables)
    first.wait_until(lambda: bool(postgresql.execute(statements)), "the migration")
    old = postgresql.execute(statements)
    for pid in (first.pid, *first.descendants()):
        os.kill(pid, signal.SIGKILL)
    first.wait()
    second = run_inithold.start("run", env=variables)
    second.wait_until(lambda: bool(set(postgresql.execute(statements)) - set(old)), "its own migration")
    assert not set(old) & set(postgresql.execute(statements))
    assert "waiting for the lock: an earlier run's statement is still running" in second.output
    second.signal(signal.SIGTERM)
    assert second.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("lock", ["the plan's", "another plan's", ""])
@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["pymysql", "aiomysql"])
def test_no_revision_runs_beside_what_a_killed_run_has_left_on_mariadb(
    env: str,
    lock: str,
    tmp_path: Path,
    database: str,
    mysql_database: str,
    mariadb: MariaDB,
    run_inithold: Inithold,
) -> None:
    """Which does not look for its client during a statement."""
    schema = name_of(mysql_database)
    for statement in ("CREATE TABLE games (id int PRIMARY KEY, played int)", "INSERT INTO games VALUES (1, 0)"):
        mariadb.execute(statement, schema)
    update = "UPDATE games SET played = played + 1"
    project = AlembicProject(tmp_path / "project", env)
    project.revision("0001", "count", f'op.execute("{update}")')
    write_plan(run_inithold.folder, migrate(project), lock=bool(lock))
    variables = {"DATABASE_URL": mysql_database, "LOCK_URL": database}

    def updating() -> set[int]:
        query = f"SELECT id FROM information_schema.processlist WHERE db = '{schema}' AND info LIKE 'UPDATE%'"
        return {number for (number,) in mariadb.execute(query)}

    with closing(mariadb.connect(schema)) as blocker:
        blocker.begin()
        blocker.cursor().execute("SELECT * FROM games FOR UPDATE")
        first = run_inithold.start("run", "--once", env=variables)
        first.wait_until(lambda: bool(updating()), "the migration")
        (old,) = updating()
        for pid in (first.pid, *first.descendants()):
            os.kill(pid, signal.SIGKILL)
        first.wait()
        if lock == "another plan's":
            plan = run_inithold.folder / "inithold.yaml"
            plan.write_text(plan.read_text().replace("name: test", "name: other"))
        second = run_inithold.start("run", "--once", env=variables)
        if lock == "the plan's":
            second.wait_until(lambda: bool(updating() - {old}), "its own migration")
            assert old not in updating()
            assert f"ending what a killed run has left on the server: session {old}" in second.output
        else:
            second.wait_for_output(f"waiting: session {old} runs these revisions")
            assert updating() == {old}
    assert second.wait() == 0
    assert mariadb.execute("SELECT played FROM games", schema) == [(1,)]


def test_two_steps_of_a_run_take_turns_on_a_version_table(
    tmp_path: Path, database: str, mysql_database: str, mariadb: MariaDB, run_inithold: Inithold
) -> None:
    """A session of this run is not taken for one that a killed run has left."""
    project = AlembicProject(tmp_path / "project")
    project.revision("aaaa1", "users", 'op.execute("SELECT SLEEP(1)")', table("users"))
    for side in ("left", "right"):
        project.revision(f"{side}1", side, table(f"{side}s"), down="aaaa1", branch_labels=(side,))
    steps = [
        f"  - {{id: {side}, uses: alembic.upgrade, "
        f"with: {{config: {project.ini}, url: '${{DATABASE_URL}}', target: {side}@head}}}}\n"
        for side in ("left", "right")
    ]
    write_plan(run_inithold.folder, "".join(steps), lock=True)
    init = run_inithold.start("run", "--once", env={"DATABASE_URL": mysql_database, "LOCK_URL": database})
    assert init.wait() == 0
    assert "ending what" not in init.output
    tables = {name for (name,) in mariadb.execute("SHOW TABLES", name_of(mysql_database))}
    assert tables == {"alembic_version", "users", "lefts", "rights"}


def test_a_second_replica_never_works_beside_the_old_statement(
    tmp_path: Path, database: str, postgresql: PostgreSQL, run_inithold: Inithold
) -> None:
    """A worker that holds its lock on the interpreter cannot cancel: it is killed, and the server asked."""
    project = AlembicProject(tmp_path / "project")
    (project.folder / "stuck.py").write_text(STUCK)
    threads = "import stuck, threading; threading.Thread(target=stuck.get_stuck, args=(1,), daemon=True).start()"
    project.revision("0001", "slow", table("users"), threads, 'op.execute("SELECT pg_sleep(60)")')
    write_plan(run_inithold.folder, migrate(project), lock=True)
    variables = {"DATABASE_URL": database, "LOCK_URL": database}
    first = run_inithold.start("run", "--once", env=variables)
    first.wait_until(lambda: bool(postgresql.execute(active(database))), "the migration")
    time.sleep(2)  # the thread keeps the interpreter lock by now
    key = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    first.signal(signal.SIGTERM)
    beside = 0
    while first.process.poll() is None:
        (locked,) = postgresql.execute(key)[0]
        if not locked and postgresql.execute(active(database)):
            beside += 1
        time.sleep(0.005)
    assert first.wait() == 128 + signal.SIGTERM
    assert not beside
    assert not postgresql.execute(active(database))


# -- code that keeps the interpreter lock


@pytest.fixture
def hog(run_inithold: Inithold) -> Iterator[Callable[..., None]]:
    def write(*, timeout: str = "", plan_timeout: str = "") -> None:
        (run_inithold.folder / "hog.py").write_text(
            f"from pathlib import Path\ndef main():\n    Path('begun').touch()\n    {REGEX}\n"
        )
        bound = f", timeout: {timeout}" if timeout else ""
        step = f"  - {{id: hog, uses: python.call{bound}, with: {{call: 'hog:main'}}}}\n"
        write_plan(run_inithold.folder, step, timeout=plan_timeout)

    yield write
    (run_inithold.folder / "begun").unlink(missing_ok=True)


@pytest.mark.parametrize("prefix", [[], pytest.param(UNSHARE, marks=needs_leave)], ids=["not PID 1", "PID 1"])
@pytest.mark.parametrize("limit", ["step", "plan", "SIGTERM"])
def test_a_function_that_keeps_the_interpreter_lock(
    limit: str, prefix: list[str], hog: Callable[..., None], run_inithold: Inithold
) -> None:
    seconds = 5.0
    bound = f"{seconds:g}s"
    hog(timeout=bound if limit == "step" else "", plan_timeout=bound if limit == "plan" else "")
    began = time.monotonic()
    init = run_inithold.start("run", "--once", prefix=prefix)
    init.wait_until((run_inithold.folder / "begun").exists, "the function")
    if limit == "SIGTERM":
        limit_at = time.monotonic()
        os.kill(pid_one(init) if prefix else init.pid, signal.SIGTERM)
    else:
        limit_at = began + seconds + 1
    ended(init, limit_at, 128 + signal.SIGTERM if limit == "SIGTERM" else 1)
    assert "was killed" in init.output


def test_a_function_that_sleeps_gets_an_exception(run_inithold: Inithold) -> None:
    (run_inithold.folder / "sleeper.py").write_text(
        "import time\nfrom pathlib import Path\n"
        "def main():\n    Path('begun').touch()\n    try:\n        time.sleep(600)\n"
        "    finally:\n        print('rolled back')\n"
    )
    write_plan(run_inithold.folder, "  - {id: s, uses: python.call, with: {call: 'sleeper:main'}}\n")
    init = run_inithold.start("run", "--once")
    init.wait_until((run_inithold.folder / "begun").exists, "the function")
    began = time.monotonic()
    init.signal(signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 4
    assert "rolled back" in init.output
    assert "Traceback" not in init.output


# -- code in the run's own process

PYTHON_PLAN = """
import sys
from pathlib import Path
from inithold import Plan, Settings

plan = Plan("hog", timeout=PLAN_TIMEOUT)

@plan.step(timeout=STEP_TIMEOUT)
def hog():
    Path("begun").touch()
    HOG

@plan.step()
def after(): ...

if __name__ == "__main__":
    sys.exit(plan.run(Settings(once=True)))
"""


@pytest.mark.parametrize("prefix", [[], pytest.param(UNSHARE, marks=needs_leave)], ids=["not PID 1", "PID 1"])
@pytest.mark.parametrize("limit", ["step", "plan", "SIGTERM"])
@pytest.mark.parametrize(
    ("program", "code"), [(False, REGEX), (True, GET_STUCK)], ids=["inithold run", "a script"]
)
def test_a_function_of_a_plan_that_never_ends(
    program: bool, code: str, limit: str, prefix: list[str], run_inithold: Inithold
) -> None:
    source = PYTHON_PLAN.replace("HOG", code).replace("PLAN_TIMEOUT", "3" if limit == "plan" else "None")
    source = source.replace("STEP_TIMEOUT", "3" if limit == "step" else "None")
    (run_inithold.folder / "hogs.py").write_text(source)
    (run_inithold.folder / "stuck.py").write_text(STUCK)
    outcome = "cancelled" if limit == "SIGTERM" else "failed"
    record = run_inithold.folder / "record.json"
    variables = {"INITHOLD_RECORD": str(record)}
    if program:
        start = [*prefix, sys.executable, "hogs.py"]
        init = run_inithold.start(program=start, env=variables)
    else:
        variables["PYTHONPATH"] = "."
        init = run_inithold.start("run", "--once", "hogs:plan", prefix=prefix, env=variables)
    init.wait_until((run_inithold.folder / "begun").exists, "the function")
    limit_at = time.monotonic() + 3
    if limit == "SIGTERM":
        limit_at = time.monotonic()
        os.kill(pid_one(init) if prefix else init.pid, signal.SIGTERM)
    code = init.wait(30)
    assert time.monotonic() - limit_at < 8, init.output
    if prefix:
        assert code == (128 + signal.SIGTERM if limit == "SIGTERM" else 1)
    else:
        assert code == -signal.SIGKILL
    assert not init.marker.exists()
    words = "SIGTERM" if limit == "SIGTERM" else f"{'the' if limit == 'plan' else 'its'} time (3s) is up"
    # Beside PID 1 they are said by a process that has just seen the run end.
    until(lambda: f"{words}, and its code did not stop within 5.5 s: the run was killed" in init.output, 10)
    until(lambda: json.loads(record.read_text())["outcome"] == outcome, 10)
    steps = {step["id"]: step for step in json.loads(record.read_text())["steps"]}
    assert steps["hog"]["state"] == outcome
    assert steps["after"]["state"] == "cancelled"


def test_the_watchdog_leaves_a_run_alone_that_ends(run_inithold: Inithold) -> None:
    """Also one whose function takes its time to stop, and one that holds."""
    (run_inithold.folder / "slow.py").write_text(
        "import time\nfrom inithold import Plan\nplan = Plan('slow')\n"
        "@plan.step(timeout='1s')\ndef slow():\n    time.sleep(600)\n"
        "quick = Plan('quick')\n@quick.step()\ndef nothing(): ...\n"
    )
    done = run_inithold("run", "--once", "slow:plan", env={"PYTHONPATH": "."})
    assert done.returncode == 1
    assert "its code did not stop within 5 s: the run ends without it" in done.stdout + done.stderr
    init = run_inithold.start("run", "slow:quick", env={"PYTHONPATH": "."})
    init.wait_for_hold()
    until(lambda: not init.descendants(), 5)
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_a_killed_worker_leaves_nothing_running_on_mariadb(
    tmp_path: Path, mysql_database: str, mariadb: MariaDB, run_inithold: Inithold
) -> None:
    project = AlembicProject(tmp_path / "project")
    (project.folder / "stuck.py").write_text(STUCK)
    threads = "import stuck, threading; threading.Thread(target=stuck.get_stuck, args=(1,), daemon=True).start()"
    project.revision("0001", "slow", threads, 'op.execute("SELECT SLEEP(60)")')
    write_plan(run_inithold.folder, migrate(project))
    sleeping = f"SELECT 1 FROM information_schema.processlist WHERE db = '{name_of(mysql_database)}'"
    sleeping += " AND info LIKE 'SELECT SLEEP(60)%'"
    init = run_inithold.start("run", "--once", env={"DATABASE_URL": mysql_database})
    init.wait_until(lambda: bool(mariadb.execute(sleeping)), "the migration")
    time.sleep(2)  # the thread keeps the interpreter lock by now
    began = time.monotonic()
    init.signal(signal.SIGTERM)
    ended(init, began, 128 + signal.SIGTERM)
    assert not mariadb.execute(sleeping)
