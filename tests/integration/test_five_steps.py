"""The main job: the five-step initialization of the game-scheduling stack on a real PostgreSQL and RabbitMQ."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import psycopg
import pytest

from conftest import Vhost
from servers.inithold import Inithold
from servers.ports import free_port

PROJECT = Path(__file__).parents[2] / "examples" / "game-scheduler"
STEPS = ["database", "migrate", "schema", "broker", "topology"]


@pytest.fixture
def environment(database: str, vhost: Vhost) -> dict[str, str | None]:
    return {
        "DATABASE_URL": database,
        "RABBITMQ_URL": vhost.url,
        "RABBITMQ_MANAGEMENT_URL": vhost.management_url,
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def outcomes(run_inithold: Inithold) -> dict[str, str]:
    record = json.loads(run_inithold("status", "--json").stdout)
    return {step["id"]: step["state"] for step in record["steps"]}


def test_cold_then_warm(run_inithold: Inithold, environment: dict[str, str | None]) -> None:
    before = run_inithold("plan", "--exit-code", env=environment, cwd=PROJECT)
    assert before.returncode == 3, before.stdout + before.stderr
    assert "+ queue bot_events" in before.stdout
    assert "after migrate" in before.stdout

    cold = run_inithold("run", "--once", env=environment, cwd=PROJECT)
    assert cold.returncode == 0, cold.stderr
    assert outcomes(run_inithold) == {
        "database": "unchanged",
        "migrate": "changed",
        "schema": "unchanged",
        "broker": "unchanged",
        "topology": "changed",
        "seed": "skipped",
    }

    after = run_inithold("plan", "--exit-code", env=environment, cwd=PROJECT)
    assert after.returncode == 0, after.stdout

    init = run_inithold.start("run", env=environment, cwd=PROJECT)
    init.wait_for_hold()
    assert {state for step, state in outcomes(run_inithold).items() if step in STEPS} == {"unchanged"}
    assert run_inithold("health").returncode == 0
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_the_same_in_python(run_inithold: Inithold, environment: dict[str, str | None]) -> None:
    assert run_inithold("run", "--once", "services.init.main:plan", env=environment, cwd=PROJECT).returncode == 0
    program = (sys.executable, "-m", "services.init.main")
    init = run_inithold.start(env=environment, cwd=PROJECT, program=program)
    init.wait_for_marker()
    init.wait_until(lambda: run_inithold("health").returncode == 0, "health")
    assert outcomes(run_inithold) == {**dict.fromkeys(STEPS, "unchanged"), "seed": "skipped"}
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_seeding_by_when(run_inithold: Inithold, environment: dict[str, str | None], database: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    seeded = {**environment, "SEED_DATA": "true", "PATH": path}
    for outcome in ("changed", "unchanged"):
        done = run_inithold("run", "--once", env=seeded, cwd=PROJECT)
        assert done.returncode == 0, done.stderr
        assert outcomes(run_inithold)["seed"] == outcome
        with psycopg.connect(database) as connection:
            assert connection.execute("SELECT title FROM game_sessions").fetchall() == [("Test session",)]


def test_replicas_started_together_do_the_work_once(
    run_inithold: Inithold, environment: dict[str, str | None], tmp_path: Path, database: str
) -> None:
    replicas = [
        run_inithold.start(
            "run",
            "--once",
            env={**environment, "INITHOLD_MARKER": str(tmp_path / f"marker-{number}")},
            cwd=PROJECT,
        )
        for number in range(10)
    ]
    assert [replica.wait(90) for replica in replicas] == [0] * 10
    changed = {"migrate": 0, "topology": 0}
    for number in range(10):
        record = json.loads((tmp_path / f"marker-{number}.record.json").read_text())
        for step in record["steps"]:
            if step["id"] in changed and step["state"] == "changed":
                changed[step["id"]] += 1
    assert changed == {"migrate": 1, "topology": 1}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_a_wrong_password_fails_at_once_with_the_servers_words(
    run_inithold: Inithold, environment: dict[str, str | None], database: str
) -> None:
    wrong = database.replace("pw-of-admin", "wrong-password-here")
    done = run_inithold("run", env={**environment, "DATABASE_URL": wrong}, cwd=PROJECT)
    assert done.returncode == 1
    assert done.seconds < 60, "not the 10 minutes that it waits for what may heal"
    assert "password authentication failed" in done.stderr
    assert "wrong-password-here" not in done.stderr + done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_gate_that_waits_takes_little_memory(run_inithold: Inithold, environment: dict[str, str | None]) -> None:
    nowhere = {
        **environment,
        "DATABASE_URL": f"postgresql://app:secret@127.0.0.1:{free_port()}/app",
        "RABBITMQ_URL": f"amqp://app:secret@127.0.0.1:{free_port()}/",
    }
    for env, most in ((nowhere, 25), (environment, 45)):
        gate = run_inithold.start("wait", env=env, cwd=PROJECT)
        gate.wait_for_output(" waiting for ")  # a line every five seconds
        assert not Path(f"/proc/{gate.pid}/task/{gate.pid}/children").read_text(), "a worker of its own"
        lines = Path(f"/proc/{gate.pid}/smaps_rollup").read_text().splitlines()
        (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
        assert kilobytes * 1024 < most * 1_000_000
        gate.signal(signal.SIGTERM)
        assert gate.wait() == 128 + signal.SIGTERM


def test_dependents_wait_on_it_with_the_same_plan(
    run_inithold: Inithold, environment: dict[str, str | None], tmp_path: Path
) -> None:
    gate = run_inithold.start("wait", "--", "echo", "let in", env=environment, cwd=PROJECT)
    gate.wait_for_output("schema (empty)")
    assert run_inithold("run", "--once", env=environment, cwd=PROJECT).returncode == 0
    assert gate.wait() == 0
    assert gate.stdout == "let in\n"
