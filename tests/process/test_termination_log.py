"""Last words where Kubernetes looks for them: whole, scrubbed, and only of what ends the container."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pid_namespace import UNSHARE, needs_leave, pid_one
from servers.inithold import Inithold
from stopping import until

PLAN = "version: 1\nname: words\nsteps:\n"
FAILS = "  - {id: seed, uses: command.run, with: {run: 'echo no such column; exit 3'}}\n"
THERE = "  - {id: a, uses: file.ready, with: {path: /}}\n"
NEVER = "  - {id: there, uses: file.ready, timeout: 200ms, with: {path: nowhere}}\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "termination-log"


def words(run_inithold: Inithold, log: Path, *arguments: str, steps: str = FAILS, **env: str) -> str:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + steps)
    run_inithold(*arguments, env={"INITHOLD_TERMINATION_LOG": str(log), **env})
    return log.read_text() if log.exists() else ""


def test_a_run_that_fails(run_inithold: Inithold, log: Path) -> None:
    log.write_text("of before")
    left = words(run_inithold, log, "run")
    assert left.startswith("step seed (command.run on echo no such column; exit 3) failed\n  seen:  exited 3\n")
    assert "no such column" in left
    assert "\n  tried: for " in left
    assert "\n  next:  " in left


def test_a_command_s_own_last_lines(run_inithold: Inithold, log: Path) -> None:
    left = words(run_inithold, log, "run", "--", "sh", "-c", "echo one; echo two >&2; exit 4")
    assert "exited 4" in left
    assert "  two\n" in left


def test_a_plan_that_is_refused_and_bad_usage(run_inithold: Inithold, log: Path) -> None:
    assert "the plan is refused" in words(run_inithold, log, "run", steps="  - {uses: nosuch.kind}\n")
    assert "--onse" in words(run_inithold, log, "run", "--onse")


def test_a_gate_that_times_out(run_inithold: Inithold, log: Path) -> None:
    left = words(run_inithold, log, "wait", "--timeout", "300ms", steps=NEVER)
    assert "not everything is in place\n  there: the time (300ms) is up: nowhere does not exist" in left


def test_a_plan_that_cannot_tell(run_inithold: Inithold, log: Path) -> None:
    left = words(run_inithold, log, "plan", steps=NEVER)
    assert "step there (file.ready on nowhere)" in left
    assert "does not exist" in left


def test_nothing_is_left_where_nothing_failed(run_inithold: Inithold, log: Path) -> None:
    assert (
        words(run_inithold, log, "run", "--once", steps="  - {id: a, uses: file.ready, with: {path: /}}\n") == ""
    )
    assert words(run_inithold, log, "status") == ""


def test_secrets_are_scrubbed_and_long_words_lose_their_middle(run_inithold: Inithold, log: Path) -> None:
    line = f"for i in $$(seq 300); do echo $$APP_TOKEN $$i {'é' * 200}; done; exit 3"
    steps = f"  - {{id: seed, uses: command.run, with: {{run: '{line}'}}}}\n"
    left = words(run_inithold, log, "run", steps=steps, APP_TOKEN="hunter22hunter22")
    assert len(log.read_bytes()) <= 4096
    assert "hunter22" not in left
    assert left.startswith("step seed (command.run")
    assert "\n...\n" in left
    assert "  next:  " in left


@pytest.mark.parametrize("command", ["plan", "wait --timeout 300ms"])
def test_long_words_of_a_plan_and_a_gate(run_inithold: Inithold, log: Path, command: str) -> None:
    steps = "".join(
        f"  - {{id: s{number}, uses: file.ready, needs: [], with: {{path: '/no/{'é' * 60}/${{APP_TOKEN}}'}}}}\n"
        for number in range(60)
    )
    left = words(run_inithold, log, *command.split(), steps=steps, APP_TOKEN="hunter22hunter22")
    assert 4090 <= len(log.read_bytes()) <= 4096
    assert "hunter22" not in left
    assert "s0" in left
    assert "\n...\n" in left


@pytest.mark.parametrize("name", ["none", ""])
def test_none_is_none(run_inithold: Inithold, tmp_path: Path, name: str) -> None:
    (tmp_path / "inithold.yaml").write_text(PLAN + FAILS)
    assert run_inithold("run", env={"INITHOLD_TERMINATION_LOG": name}).returncode == 1
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_written_changes_nothing(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "inithold.yaml").write_text(PLAN + FAILS)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "no" / "folder"):
        done = run_inithold("run", env={"INITHOLD_TERMINATION_LOG": str(path)}, seconds=20)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_a_command_beside_a_hold_leaves_it_alone(run_inithold: Inithold, log: Path) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + THERE)
    init = run_inithold.start("run")
    init.wait_for_hold()
    assert words(run_inithold, log, "run", "--onse") == ""
    assert words(run_inithold, log, "plan", steps=NEVER) == ""
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_hints_name_no_compose_inside_a_cluster(run_inithold: Inithold, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + FAILS)
    for env in (
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "container": "oci"},
    ):
        done = run_inithold("run", env=env)
        assert "compose" not in done.stderr.lower()
        assert "Deployment" in done.stderr
        for command in ("run", "wait", "plan"):
            done = run_inithold(command, env=env, cwd=empty)
            assert "put or mount one there" in done.stderr
            assert "Compose" not in done.stderr
    assert "docker compose up" in run_inithold("run", env={"container": "docker"}).stderr


@needs_leave
def test_a_run_that_fails_under_pid_one(run_inithold: Inithold, log: Path) -> None:
    environment = {"INITHOLD_TERMINATION_LOG": str(log)}
    run_inithold("run", "--", "sh", "-c", "exit 4", prefix=UNSHARE, env=environment)
    assert "exited 4" in log.read_text()


@needs_leave
def test_a_run_that_is_killed(run_inithold: Inithold, log: Path) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(
        PLAN + "  - {id: a, uses: file.ready, with: {path: nowhere}}\n"
    )
    init = run_inithold.start("run", prefix=UNSHARE, env={"INITHOLD_TERMINATION_LOG": str(log)})
    init.wait_for_output("does not exist")
    first = pid_one(init)
    (run,) = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    os.kill(int(run), signal.SIGKILL)
    assert init.wait() == 128 + signal.SIGKILL
    assert log.read_text() == "inithold: the run was killed by signal 9 (out of memory?)\n"


def test_a_function_of_the_plan_that_keeps_the_interpreter(run_inithold: Inithold, log: Path) -> None:
    (run_inithold.folder / "init.py").write_text(
        "import re\nfrom inithold import Plan\nplan = Plan('stuck')\n\n"
        "@plan.step(timeout='1s')\ndef hog():\n    re.match(r'(a+)+$', 'a' * 45 + 'b')\n"
    )
    done = run_inithold("run", "init:plan", env={"INITHOLD_TERMINATION_LOG": str(log), "PYTHONPATH": "."})
    assert done.returncode != 0
    # Written by the process that has killed it.
    until(lambda: log.exists() and log.read_text() != "")
    assert log.read_text().startswith("step hog (python.call")
    assert "did not stop within" in log.read_text()
