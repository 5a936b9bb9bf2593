"""`inithold wait`: the gate checks, applies nothing, and becomes the command."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from promptness import PROMPTLY
from servers.inithold import Inithold
from servers.ports import free_port

PLAN = "version: 1\nname: gate\nsteps:\n"


def plan(run_inithold: Inithold, *steps: str) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + "".join(f"  - {step}\n" for step in steps))


def needs_file(path: Path) -> str:
    return f"{{id: file, uses: file.ready, with: {{path: '{path}'}}}}"


def test_becomes_the_command_with_pid_streams_and_exit_code(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, needs_file(tmp_path))
    gate = run_inithold.start("wait", "--", "sh", "-c", "echo pid $$ $GREETING; exit 9", env={"GREETING": "hello"})
    assert gate.wait() == 9
    assert gate.stdout == f"pid {gate.pid} hello\n"


def test_the_command_gets_signals_as_if_started_directly(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, needs_file(tmp_path))
    gate = run_inithold.start("wait", "--", "sleep", "60")
    gate.wait_until(lambda: Path(f"/proc/{gate.pid}/comm").read_text() == "sleep\n", "the command")
    status = Path(f"/proc/{gate.pid}/status").read_text()
    masks = {
        line.partition(":")[0]: int(line.split()[1], 16)
        for line in status.splitlines()
        if line.startswith("Sig") and "Q" not in line
    }
    assert masks["SigBlk"] == 0
    terminating = 1 << (signal.SIGTERM - 1) | 1 << (signal.SIGINT - 1)
    assert masks["SigIgn"] & terminating == 0
    gate.signal(signal.SIGTERM)
    assert gate.wait() == -signal.SIGTERM


def test_waits_until_it_holds(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, needs_file(tmp_path / "late"))
    gate = run_inithold.start("wait")
    gate.wait_for_output("does not exist")
    (tmp_path / "late").touch()
    assert gate.wait() == 0


def test_times_out_and_says_what_does_not_hold(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, needs_file(tmp_path / "never"))
    done = run_inithold("wait", "--timeout", "300ms", "--", "echo", "must not run")
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"file: the time (300ms) is up: {tmp_path}/never does not exist" in done.stderr


def test_applies_nothing(run_inithold: Inithold, tmp_path: Path) -> None:
    made = tmp_path / "made"
    plan(run_inithold, f"{{id: make, uses: command.run, with: {{run: [touch, '{made}'], creates: '{made}'}}}}")
    assert run_inithold("wait", "--timeout", "500ms").returncode == 1
    assert not made.exists()


def test_what_is_missing_is_listed_once_and_not_with_each_check(run_inithold: Inithold, tmp_path: Path) -> None:
    made = tmp_path / "made"
    plan(run_inithold, f"{{id: make, uses: command.run, with: {{run: ['true'], creates: '{made}'}}}}")
    done = run_inithold("wait", "--timeout", "1500ms")
    listed = [line for line in done.stderr.splitlines() if line.split()[1:] == ["make", "+", str(made)]]
    assert len(listed) == 1, done.stderr
    assert ", attempt " in done.stderr, "it was checked more than once"


def test_what_cannot_be_checked_is_left_out_and_said_once(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, "{id: seed, uses: command.run, with: {run: ['false']}}", needs_file(tmp_path))
    done = run_inithold("wait")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left out, since they cannot be checked: seed") == 1


def test_a_gate_of_nothing_else_is_refused(run_inithold: Inithold) -> None:
    plan(run_inithold, "{id: seed, uses: command.run, with: {run: ['false']}}")
    done = run_inithold("wait")
    assert done.returncode == 2
    assert "and there is none" in done.stderr


def test_only_some_steps(run_inithold: Inithold, tmp_path: Path) -> None:
    never = f"{{id: never, uses: file.ready, with: {{path: '{tmp_path}/never'}}}}"
    plan(run_inithold, never, needs_file(tmp_path))
    assert run_inithold("wait", "--step", "file").returncode == 0
    assert run_inithold("wait", "--step", "nevr").returncode == 2


def test_urls_instead_of_a_plan(run_inithold: Inithold, tmp_path: Path) -> None:
    assert run_inithold("wait", f"file://{tmp_path}").returncode == 0
    done = run_inithold("wait", f"tcp://127.0.0.1:{free_port()}", "--timeout", "300ms")
    assert done.returncode == 1
    assert "connection refused" in done.stderr


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_run(run_inithold: Inithold, tmp_path: Path, command: str, code: int) -> None:
    assert run_inithold("wait", f"file://{tmp_path}", "--", command).returncode == code


@pytest.mark.parametrize(
    "arguments", [["a.yaml", "tcp://h:1"], ["a", "b"], ["ftp://h"], ["tcp://h"], ["--timeout", "x"]]
)
def test_bad_usage(run_inithold: Inithold, arguments: list[str]) -> None:
    done = run_inithold("wait", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_signal_ends_the_gate(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, needs_file(tmp_path / "never"))
    gate = run_inithold.start("wait")
    gate.wait_for_output("does not exist")
    at = time.monotonic()
    gate.signal(signal.SIGTERM)
    assert gate.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - at < PROMPTLY


def test_standard_input_reaches_the_command(run_inithold: Inithold, tmp_path: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "inithold", "wait", f"file://{tmp_path}", "--", "cat"],
        input=b"through\n",
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        timeout=30,
        check=True,
    )
    assert done.stdout == b"through\n"


def test_asks_the_users_code_less_and_less_often(run_inithold: Inithold, tmp_path: Path) -> None:
    """Each time in a process of its own, so that the gate takes little memory and little processor time."""
    (tmp_path / "app.py").write_text(
        "import os, time\n\n"
        "def is_seeded():\n"
        "    time.sleep(0.3)  # so that how long the process takes to start matters less\n"
        "    print(time.monotonic(), os.getpid(), file=open('asked', 'a'))\n"
        "    return os.path.exists('seeded')\n"
    )
    plan(run_inithold, "{id: seed, uses: python.call, with: {call: 'app:is_seeded', check: 'app:is_seeded'}}")
    asked = tmp_path / "asked"
    gate = run_inithold.start("wait")
    gate.wait_until(lambda: asked.exists() and asked.read_text().count("\n") == 6, "six questions", seconds=60)
    rows = [line.split() for line in asked.read_text().splitlines()]
    times = [float(at) for at, _ in rows]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[-1] > 2 * pauses[0], pauses
    assert len({pid for _, pid in rows}) == len(rows)
    (tmp_path / "seeded").touch()
    assert gate.wait(seconds=60) == 0
