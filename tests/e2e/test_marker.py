"""The marker and the health over restarts, kills and lack of memory: never ready before the new run is done."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.alone import alone, plan_of
from e2e.conftest import Maker
from e2e.engine import busy, poll
from e2e.moments import moment
from e2e.sampling import assert_never_healthy, sampled
from e2e.stack import MARKER, Stack

SLOW = plan_of("sh", "-c", "sleep 1.5; test ! -e /plan/broken")
RESTARTS: dict[str, Callable[[Stack], object]] = {
    "restarted": lambda stack: stack.engine.docker("restart", "-t", "5", stack.container("init")),
    "killed": lambda stack: os.kill(stack.pid("init"), signal.SIGKILL),
}


@pytest.mark.parametrize("how", RESTARTS)
def test_a_restarted_init_is_not_healthy_before_its_run_is_done(how: str, make_stack: Maker) -> None:
    stack = alone(make_stack, SLOW)
    stack.up("init")
    first = moment(stack.state("init")["StartedAt"])
    with sampled(stack) as samples:
        RESTARTS[how](stack)
        poll(lambda: moment(stack.state("init")["StartedAt"]) > first, 20, "init is started again")
        stack.wait_health("init", "healthy")
    marker = stack.marker()
    assert marker and marker["ready_at"] > first
    assert_never_healthy(samples, since=first, until=marker["ready_at"])


@pytest.mark.parametrize("how", RESTARTS)
def test_nor_while_the_new_run_fails(how: str, make_stack: Maker) -> None:
    stack = alone(make_stack, SLOW)
    stack.up("init")
    first = moment(stack.state("init")["StartedAt"])
    stack.write("plan/broken", "")
    with sampled(stack) as samples:
        RESTARTS[how](stack)
        poll(lambda: stack.inspect("init")["RestartCount"] >= 2, 40, "the engine starts a failing init again")
    assert_never_healthy(samples, since=first)


@pytest.mark.parametrize("process", ["command", "init itself"])
def test_nor_when_it_runs_out_of_memory(process: str, make_stack: Maker) -> None:
    greedy = "import os, time\n\ndef eat():\n    size = 500_000_000 if os.path.exists('/plan/broken') else 1\n"
    greedy += "    kept = bytearray(size)\n    time.sleep(1)\n"
    itself = {"id": "work", "uses": "python.call", "with": {"call": "greedy:eat"}}
    command = ["python", "-c", "import greedy; greedy.eat()"]
    plan = plan_of(*command) if process == "command" else plan_of(**itself)
    limits = {"mem_limit": "64m", "memswap_limit": "64m", "environment": {"PYTHONPATH": "/plan"}}
    stack = alone(make_stack, plan, **limits)
    stack.write("plan/greedy.py", greedy)
    stack.up("init")
    first = moment(stack.state("init")["StartedAt"])
    stack.write("plan/broken", "")
    with sampled(stack) as samples:
        stack.engine.docker("restart", "-t", "5", stack.container("init"))
        poll(lambda: stack.inspect("init")["RestartCount"] >= 4, 60, "the engine starts init again")
    assert_never_healthy(samples, since=first)
    assert "out of memory" in stack.logs("init")


def seen(pid: int) -> bool:
    """Whether the process sees a marker, by its own root."""
    return os.path.lexists(f"/proc/{pid}/root{MARKER}")


def next_pid(stack: Stack, last: int) -> int:
    """The first process of the next start, at once."""
    return poll(lambda: (pid := stack.pid("init")) != last and pid, 20, "init is started again", every=0.005)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees another container's files")
def test_with_a_tmpfs_the_file_is_never_there_before_its_time(make_stack: Maker) -> None:
    stack = alone(make_stack, SLOW)
    stack.up("init")
    last = stack.pid("init")
    restart = threading.Thread(target=RESTARTS["restarted"], args=[stack])
    restart.start()
    pid, looks = next_pid(stack, last), 0
    while not seen(pid):
        looks += 1
        time.sleep(0.005)
        assert looks < 4000, "there is no marker after 20 s"
    appeared = time.time()
    restart.join()
    marker = stack.marker()
    assert marker
    assert looks > 50
    assert appeared >= marker["ready_at"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees another container's files")
def test_left_in_the_writable_layer_the_file_is_gone_at_once(make_stack: Maker) -> None:
    stack = alone(make_stack, SLOW, read_only=False, tmpfs=None)
    stack.up("init")
    gone: list[float] = []
    # The quickest of up to five, since the machine may be busy with other tests.
    while len(gone) < 2 or (min(gone) >= 0.15 * busy() and len(gone) < 5):
        last = stack.pid("init")
        restart = threading.Thread(target=RESTARTS["restarted"], args=[stack])
        restart.start()
        pid = next_pid(stack, last)
        poll(lambda pid=pid: not seen(pid), 10, "the old marker is gone", every=0.005)  # type: ignore[misc]
        ended = time.time()
        restart.join()
        gone.append(ended - moment(stack.state("init")["StartedAt"]))
        assert not seen(pid), "the marker came back before the run was done"
        stack.wait_health("init", "healthy")
    print(f"gone after {', '.join(f'{each * 1000:.0f} ms' for each in gone)}")
    print(f"median {statistics.median(gone) * 1000:.0f} ms")
    assert min(gone) < 0.15 * busy()


def test_a_marker_that_is_still_there_is_refused(make_stack: Maker) -> None:
    # The program before inithold keeps the old marker in place for a while.
    command = ["sh", "-c", "sleep 2; exec inithold run /plan/inithold.yaml"]
    stack = alone(make_stack, SLOW, read_only=False, tmpfs=None, entrypoint=[], command=command)
    stack.up("init")
    assert stack.exec("init", "inithold", "health").stdout == "ready\n"
    with sampled(stack) as samples:
        first = moment(stack.state("init")["StartedAt"])
        stack.engine.docker("restart", "-t", "1", stack.container("init"))
        answer = stack.exec("init", "sh", "-c", f"test -f {MARKER} && inithold health", check=False)
        stack.wait_health("init", "healthy")
    assert answer.returncode == 1
    assert "stale" in answer.stdout, "the old marker was there and was not refused as such"
    marker = stack.marker()
    assert marker
    assert_never_healthy(samples, since=first, until=marker["ready_at"])


def test_a_marker_of_the_image_itself_is_refused(make_stack: Maker) -> None:
    """One that came with a commit or a copied layer names a process of another container."""
    stack = alone(make_stack, SLOW, read_only=False, tmpfs=None)
    stack.up("init")
    old = Path(f"/proc/{stack.pid('init')}/root{MARKER}").read_text() if os.geteuid() == 0 else "{}"
    other = alone(make_stack, plan_of("sleep", "600"), entrypoint=[], command=["sleep", "600"])
    other.compose("up", "-d")
    other.exec("init", "sh", "-c", f"printf %s '{old}' > {MARKER}")
    answer = other.exec("init", "inithold", "health", check=False)
    assert answer.returncode == 1
    assert answer.stdout.startswith("not ready")
