"""inithold as PID 1 of a pid namespace, as in a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pid_namespace import UNSHARE, inside, needs_leave, pid_one
from promptness import PROMPTLY
from servers.inithold import Inithold, Running

PLAN = "version: 1\nname: one\nsteps:\n"


pytestmark = needs_leave


def start(
    run_inithold: Inithold, *steps: str, path: str | None = None, arguments: tuple[str, ...] = ()
) -> Running:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + "".join(f"  - {step}\n" for step in steps))
    return run_inithold.start("run", *arguments, prefix=UNSHARE, env={"PATH": path} if path else {})


def holds(init: Running) -> None:
    init.wait_for_marker()
    init.wait_until(lambda: b"inithold\0run" not in command_line(pid_one(init)), "the hold")


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def still_unshare(pid: int) -> bool:
    try:
        return b"unshare" in command_line(pid)
    except FileNotFoundError:
        return False


THERE = "{id: there, uses: file.ready, with: {path: /}}"
NEVER = "{id: never, uses: file.ready, with: {path: /nowhere/at/all}}"
PATHS = pytest.mark.parametrize("path", [None, "/nowhere"], ids=["catatonit", "interpreter"])


@PATHS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_holds_and_ends_at_once(run_inithold: Inithold, path: str | None, number: signal.Signals) -> None:
    init = start(run_inithold, THERE, path=path)
    holds(init)
    at = time.monotonic()
    os.kill(pid_one(init), number)
    assert init.wait() == 0
    assert time.monotonic() - at < PROMPTLY


@PATHS
def test_health_in_the_same_namespace_as_another_user(run_inithold: Inithold, path: str | None) -> None:
    init = start(run_inithold, THERE, path=path)
    holds(init)
    enter = inside(init)
    run_inithold.folder.chmod(0o755)
    health = run_inithold("health", prefix=enter)
    assert (health.returncode, health.stdout) == (0, "ready\n"), health.stderr
    outside = run_inithold("health")
    assert outside.returncode == 1
    assert "another container" in outside.stdout


def test_a_signal_while_running_ends_it(run_inithold: Inithold) -> None:
    init = start(run_inithold, NEVER)
    init.wait_for_output("does not exist")
    at = time.monotonic()
    os.kill(pid_one(init), signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - at < PROMPTLY


def test_a_signal_while_a_command_runs_ends_the_command(run_inithold: Inithold) -> None:
    init = start(run_inithold, "{id: slow, uses: command.run, with: {run: [sh, -c, 'echo began; sleep 60']}}")
    init.wait_for_output("began")
    at = time.monotonic()
    os.kill(pid_one(init), signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - at < PROMPTLY


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5])
def test_a_signal_at_any_moment_ends_it(run_inithold: Inithold, delay: float) -> None:
    init = start(run_inithold, THERE)
    init.wait_until(lambda: bool(init.descendants()), "PID 1")
    first = pid_one(init)
    # Before exec the namespace's PID 1 is still unshare, which the kernel protects from signals without handlers.
    init.wait_until(lambda: not still_unshare(first), "exec")
    time.sleep(delay)
    at = time.monotonic()
    while init.process.poll() is None and time.monotonic() - at < 5:
        try:
            os.kill(first, signal.SIGTERM)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    assert init.wait() in (0, 128 + signal.SIGTERM)
    assert time.monotonic() - at < PROMPTLY


ORPHANS = (
    "{id: orphans, uses: command.run, with: {run: [sh, -c, "
    "'for i in 1 2 3 4 5; do (sleep 0.2 & exec true) & done; wait; sleep 0.6; echo spawned']}}"
)


def zombies(init: Running) -> list[str]:
    found = []
    for pid in children(pid_one(init)):
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z":
            found.append(status.read_text())
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_reaps_orphans_while_running(run_inithold: Inithold) -> None:
    init = start(run_inithold, ORPHANS, NEVER)
    init.wait_for_output("does not exist")
    init.wait_until(lambda: not zombies(init) and len(children(pid_one(init))) == 1, "the orphans to be reaped")


@PATHS
def test_reaps_orphans_while_holding(run_inithold: Inithold, path: str | None) -> None:
    init = start(run_inithold, THERE, path=path)
    holds(init)
    enter = inside(init)
    # A process whose parent ends goes to PID 1 of its namespace.
    subprocess.run([*enter, "sh", "-c", "(sleep 0.2 &) ; exit 0"], check=True)
    init.wait_until(lambda: len(children(pid_one(init))) > 0, "an orphan to arrive")
    init.wait_until(lambda: len(children(pid_one(init))) == 0, "the orphan to be reaped")


def test_exit_codes_of_commands_are_not_stolen_by_reaping(run_inithold: Inithold) -> None:
    steps = [
        f"{{id: s{n}, uses: command.run, needs: [], on_failure: continue, with: {{run: [sh, -c, 'exit {n}']}}}}"
        for n in range(1, 9)
    ]
    init = start(run_inithold, *steps, arguments=("--once",))
    assert init.wait() == 0
    for n in range(1, 9):
        assert f"exited {n}" in init.stderr


def test_a_failure_is_the_exit_code(run_inithold: Inithold) -> None:
    init = start(run_inithold, "{id: bad, uses: command.run, with: {run: ['false']}}")
    assert init.wait() == 1


def test_a_run_that_is_killed_is_told_and_leaves_no_marker(run_inithold: Inithold) -> None:
    init = start(run_inithold, NEVER)
    init.wait_for_output("does not exist")
    os.kill(children(pid_one(init))[0], signal.SIGKILL)
    assert init.wait() == 128 + signal.SIGKILL
    assert "killed by signal 9 (out of memory?)" in init.stderr
    assert not init.marker.exists()


def test_under_an_init_of_the_engines(run_inithold: Inithold) -> None:
    # `init: true`: the engine's own init is PID 1 and inithold is not.
    catatonit = shutil.which("catatonit", path=f"{os.environ['PATH']}:/usr/bin")
    if catatonit is None:
        pytest.skip("needs catatonit")
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + f"  - {THERE}\n")
    init = run_inithold.start("run", prefix=[*UNSHARE, catatonit, "--"])
    init.wait_for_marker()
    enter = inside(init)
    init.wait_until(lambda: run_inithold("health", prefix=enter).returncode == 0, "health")
    os.kill(pid_one(init), signal.SIGTERM)
    assert init.wait() == 0
