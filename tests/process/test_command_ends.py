"""A command ends with its run, however that ends, and is started as if by nobody in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servers.inithold import Inithold, Running
from servers.run import is_alive
from stopping import until


def plan(folder: Path, command: str) -> None:
    (folder / "inithold.yaml").write_text(
        f"version: 1\nsteps:\n  - {{id: c, uses: command.run, with: {{run: {command!r}}}}}\n"
    )


def pid_in(init: Running, folder: Path) -> int:
    file = folder / "pid"
    init.wait_until(lambda: file.exists() and bool(file.read_text()), "the command")
    return int(file.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
@pytest.mark.parametrize("passed_through", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("echo $$ > pid; while :; do sleep 0.05; date > working; done", id="itself"),
        pytest.param("sh -c 'echo $$ > pid; while :; do sleep 0.05; done' & wait", id="what it started"),
    ],
)
def test_a_command_is_killed_with_its_run(command: str, passed_through: bool, run_inithold: Inithold) -> None:
    plan(run_inithold.folder, command.replace("$", "$$"))
    arguments = ["run", "--", "sh", "-c", command] if passed_through else ["run"]
    init = run_inithold.start(*arguments)
    pid = pid_in(init, run_inithold.folder)
    os.kill(init.pid, signal.SIGKILL)
    init.wait()
    until(lambda: not is_alive(pid), 5)


def test_a_command_gets_the_environment_and_signals_it_would_have_alone(run_inithold: Inithold) -> None:
    told = "env | cut -d= -f1 | grep -v -e ^PWD -e ^_$ -e ^SHLVL | sort;"
    told += "grep SigIgn /proc/self/status; ls /proc/self/fd"
    clean = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    alone = subprocess.run(
        ["sh", "-c", told], env=clean, capture_output=True, text=True, check=True
    ).stdout.split()
    done = run_inithold(
        "run",
        "--once",
        "--",
        "sh",
        "-c",
        f"({told}) > {run_inithold.folder}/told",
        env=clean | {"container": None},
    )
    assert done.returncode == 0, done.stderr
    found = (run_inithold.folder / "told").read_text().split()
    assert [word for word in found if word not in ("INITHOLD_MARKER", "TRACEPARENT")] == alone


def test_all_that_a_killed_command_started_ends_with_it(run_inithold: Inithold) -> None:
    plan(run_inithold.folder, "sh -c 'echo $$$$ > pid; exec sleep 600 > /dev/null 2>&1' & kill -KILL $$$$")
    done = run_inithold("run", "--once")
    assert done.returncode == 1
    assert "was killed by SIGKILL" in done.stderr + done.stdout
    if (pid_file := run_inithold.folder / "pid").exists() and (text := pid_file.read_text()):
        until(lambda: not is_alive(int(text)), 5)


@pytest.mark.parametrize("arguments", [["run"], ["run", "--once"]], ids=["hold", "once"])
@pytest.mark.skipif(sys.platform != "linux", reason="needs a guard of the group")
def test_what_a_command_leaves_behind_ends_with_the_run(arguments: list[str], run_inithold: Inithold) -> None:
    """Another step may still use it; afterwards nothing does."""
    left = "sh -c 'echo $$$$ > pid; exec sleep 600' > /dev/null 2>&1 &"
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nsteps:\n"
        f"  - {{id: a, uses: command.run, with: {{run: {json.dumps(left)}}}}}\n"
        "  - {id: pid, uses: file.ready, with: {path: pid}}\n"
        '  - {id: b, uses: command.run, with: {run: "kill -0 $$(cat pid)"}}\n'
    )
    init = run_inithold.start(*arguments)
    if arguments == ["run"]:
        init.wait_for_hold(30)
    else:
        assert init.wait() == 0
    pid = pid_in(init, run_inithold.folder)
    until(lambda: not is_alive(pid), 5)


def test_a_daemon_in_a_session_of_its_own_stays(run_inithold: Inithold) -> None:
    plan(run_inithold.folder, "setsid sh -c 'echo $$$$ > pid; exec sleep 600' > /dev/null 2>&1 &")
    assert run_inithold("run", "--once").returncode == 0
    pid_file = run_inithold.folder / "pid"
    until(lambda: pid_file.exists() and bool(pid_file.read_text()), 5)
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_what_ignores_sigterm_does_not_outlive_the_timeout(run_inithold: Inithold) -> None:
    stubborn = "sh -c 'trap : TERM; echo $$$$ > pid; while :; do sleep 0.1; done' & wait"
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nsteps:\n"
        f"  - {{id: c, timeout: 2s, uses: command.run, with: {{run: {json.dumps(stubborn)}}}}}\n"
    )
    assert run_inithold("run", "--once").returncode == 1
    assert not is_alive(int((run_inithold.folder / "pid").read_text()))
