"""Replicas of one plan, started together on an empty database."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from promptness import PROMPTLY
from servers.inithold import Inithold, Running
from servers.postgresql import PostgreSQL
from stopping import until

REPLICAS = 10
PLAN = """
version: 1
name: replicas
lock: ${DATABASE_URL}
steps:
  - {id: database, uses: database.ready, with: {url: "${DATABASE_URL}"}}
  - id: tables
    uses: database.sql
    with:
      url: ${DATABASE_URL}
      sql: |
        CREATE TABLE users (id serial PRIMARY KEY, name text);
        CREATE TABLE applied (step text);
        INSERT INTO applied VALUES ('tables');
      unless: SELECT 1 FROM pg_tables WHERE tablename = 'users'
  - id: seed
    uses: database.sql
    with:
      url: ${DATABASE_URL}
      sql: "SELECT pg_sleep(0.2); INSERT INTO users (name) VALUES ('admin'); INSERT INTO applied VALUES ('seed')"
      unless: SELECT 1 FROM users WHERE name = 'admin'
  - {id: schema, uses: database.tables, with: {url: "${DATABASE_URL}", tables: {users: [id, name]}}}
"""
SLOW = """
version: 1
name: replicas
lock: ${DATABASE_URL}
steps:
  - id: slow
    uses: database.sql
    with:
      url: ${DATABASE_URL}
      sql: SELECT pg_sleep(3); CREATE TABLE done ()
      unless: SELECT 1 FROM pg_tables WHERE tablename = 'done'
"""


@pytest.fixture
def name(database: str) -> str:
    return database.rpartition("/")[2]


def start(run_inithold: Inithold, folder: Path, database: str, text: str, number: int) -> Running:
    # Of its own: those that were started before may just be reading theirs.
    plan = folder / f"inithold-{number}.yaml"
    plan.write_text(text)
    marker = folder / f"marker-{number}"
    env = {"DATABASE_URL": database, "INITHOLD_MARKER": str(marker)}
    return run_inithold.start("run", "--once", str(plan), env=env)


def outcomes(init: Running) -> dict[str, str]:
    steps: dict[str, str] = json.loads(init.marker.read_text())["steps"]
    return steps


def sessions(postgresql: PostgreSQL, name: str, like: str) -> list[int]:
    query = (
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND (application_name || query) LIKE '{like}'"
    )
    return [pid for (pid,) in postgresql.execute(query)]


def test_ten_replicas_do_the_work_once(
    run_inithold: Inithold, tmp_path: Path, database: str, postgresql: PostgreSQL, name: str
) -> None:
    replicas = [start(run_inithold, tmp_path, database, PLAN, number) for number in range(REPLICAS)]
    for each in replicas:
        assert each.wait(60) == 0, each.output
    rows = postgresql.execute("SELECT step, count(*) FROM applied GROUP BY step ORDER BY step", name)
    assert rows == [("seed", 1), ("tables", 1)]
    assert postgresql.execute("SELECT count(*) FROM users", name) == [(1,)]
    ended = [outcomes(each) for each in replicas]
    for step in ("tables", "seed"):
        assert sorted(each[step] for each in ended) == ["changed"] + ["unchanged"] * (REPLICAS - 1)


def test_a_killed_holder_is_followed_by_the_next(
    run_inithold: Inithold, tmp_path: Path, database: str, postgresql: PostgreSQL, name: str
) -> None:
    holder = start(run_inithold, tmp_path, database, SLOW, 0)
    until(lambda: bool(sessions(postgresql, name, "%pg_sleep(3)%")))
    waiting = start(run_inithold, tmp_path, database, SLOW, 1)
    waiting.wait_for_output("held by inithold replicas on")
    holder.signal(signal.SIGKILL)
    assert waiting.wait(40) == 0, waiting.output
    assert outcomes(waiting) == {"slow": "changed"}


def test_a_lost_lock_cancels_the_run_which_starts_over(
    run_inithold: Inithold, tmp_path: Path, database: str, postgresql: PostgreSQL, name: str
) -> None:
    init = start(run_inithold, tmp_path, database, SLOW, 0)
    until(lambda: bool(sessions(postgresql, name, "%pg_sleep(3)%")))
    (lock,) = sessions(postgresql, name, "inithold replicas on %")
    postgresql.execute(f"SELECT pg_terminate_backend({lock})")
    init.wait_for_output("the lock was lost: the run starts over")
    assert not postgresql.execute("SELECT 1 FROM pg_tables WHERE tablename = 'done'", name)
    assert init.wait(40) == 0, init.output
    assert outcomes(init) == {"slow": "changed"}


def test_a_signal_ends_the_wait_for_the_lock(
    run_inithold: Inithold, tmp_path: Path, database: str, postgresql: PostgreSQL, name: str
) -> None:
    holder = start(run_inithold, tmp_path, database, SLOW, 0)
    until(lambda: bool(sessions(postgresql, name, "%pg_sleep(3)%")))
    waiting = start(run_inithold, tmp_path, database, SLOW, 1)
    waiting.wait_for_output("held by inithold replicas on")
    at = time.monotonic()
    waiting.signal(signal.SIGTERM)
    assert waiting.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - at < PROMPTLY
    assert holder.wait(30) == 0


def test_who_holds_it_is_in_the_log_and_in_the_status(
    run_inithold: Inithold, tmp_path: Path, database: str, postgresql: PostgreSQL, name: str
) -> None:
    first = start(run_inithold, tmp_path, database, SLOW.replace("pg_sleep(3)", "pg_sleep(30)"), 0)
    until(lambda: bool(sessions(postgresql, name, "%pg_sleep(30)%")))
    second = start(run_inithold, tmp_path, database, SLOW, 1)
    second.wait_for_output("waiting for the lock")
    second.wait_for_output("held by inithold replicas")
    marker = ("--marker", str(second.marker))
    shown = "waiting for the lock: held by inithold replicas"
    second.wait_until(lambda: shown in run_inithold("status", *marker).stdout, "it to be in the status")
    assert run_inithold("health", *marker).returncode == 1
    first.signal(signal.SIGTERM)
    assert first.wait() == 128 + signal.SIGTERM
    assert second.wait() == 0, second.output
    assert "waiting for the lock" not in run_inithold("status", *marker).stdout


COMMANDS = """
version: 1
name: commands
lock: ${DATABASE_URL}
steps:
  - id: work
    uses: command.run
    with: {run: "flock -n working sh -c 'echo >> worked; exec sleep 0.2' || { echo >> overlaps; exit 1; }"}
"""
"""Only one may work at a time: what works holds a lock of its own, which ends with it."""


@pytest.mark.skipif(shutil.which("flock") is None, reason="needs flock of util-linux")
def test_no_command_works_beside_another_s_whatever_ends_the_runs(
    run_inithold: Inithold, tmp_path: Path, database: str
) -> None:
    chance = random.Random(7)
    running = [start(run_inithold, tmp_path, database, COMMANDS, number) for number in range(6)]
    deadline = time.monotonic() + 60
    number, stopped = len(running), None
    while number < 18:
        assert time.monotonic() < deadline
        time.sleep(chance.uniform(0.05, 0.3))
        if stopped is not None:
            stopped.signal(signal.SIGCONT)
            stopped = None
        chosen = chance.choice(running)
        if chosen.process.poll() is not None:
            running.remove(chosen)
            running.append(start(run_inithold, tmp_path, database, COMMANDS, number))
            number += 1
            continue
        how = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        chosen.signal(how)
        if how == signal.SIGSTOP:
            stopped = chosen
    if stopped is not None:
        stopped.signal(signal.SIGCONT)
    for each in running:
        each.wait(60)
    assert not (tmp_path / "overlaps").exists()
    last = start(run_inithold, tmp_path, database, COMMANDS, number)
    assert last.wait(30) == 0, last.output
