"""A command ends with its run, however that ends, and is started as if by nobody in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servers.inithold import Inithold
from servers.run import is_alive
from stopping import until


def plan(folder: Path, command: str) -> None:
    (folder / "inithold.yaml").write_text(
        f"version: 1\nsteps:\n  - {{id: c, uses: command.run, with: {{run: {command!r}}}}}\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
@pytest.mark.parametrize("passed_through", [False, True])
def test_a_command_is_killed_with_its_run(passed_through: bool, run_inithold: Inithold) -> None:
    command = "echo $$ > pid; while :; do sleep 0.05; date > working; done"
    plan(run_inithold.folder, command.replace("$", "$$"))
    arguments = ["run", "--", "sh", "-c", command] if passed_through else ["run"]
    init = run_inithold.start(*arguments)
    pid_file = run_inithold.folder / "pid"
    init.wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), "the command")
    pid = int(pid_file.read_text())
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
    done = run_inithold("run", "--once", "--", "sh", "-c", f"({told}) > {run_inithold.folder}/told", env=clean)
    assert done.returncode == 0, done.stderr
    found = (run_inithold.folder / "told").read_text().split()
    assert [word for word in found if word not in ("INITHOLD_MARKER", "TRACEPARENT")] == alone
