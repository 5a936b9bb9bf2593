"""Limits are kept from outside: a check that is stuck, output that nobody reads, a signal at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from pid_namespace import UNSHARE, needs_leave, pid_one
from promptness import PROMPTLY
from servers.inithold import Inithold, Running
from servers.run import remember
from stopping import until

STUCK = """
version: 1
name: stuck
hold: {verify: 1s, grace: 0s}
steps:
  - {id: make, uses: command.run, timeout: 1s, with: {run: touch made, creates: made}}
  - id: hang
    uses: %s
"""
GUARD = "command.run\n    timeout: 1s\n    with: {run: 'true', unless: 'echo $PPID >> checks; sleep 0.3'}"
REGEX = """python.call
    timeout: 1s
    with: {call: "hang:call", check: "hang:check"}"""
CALL = """
import os, re
def call(): ...
def check():
    if not os.path.exists("hang"):
        return True
    open("checks", "a").write("x\\n")
    return bool(re.match(r"(a+)+$", "a" * 45 + "b"))
"""
KILLED = "a check did not end within 7 s and was killed; the next one runs as usual"


def verifying(run_inithold: Inithold, step: str) -> Running:
    (run_inithold.folder / "inithold.yaml").write_text(STUCK % step)
    (run_inithold.folder / "hang.py").write_text(CALL)
    init = run_inithold.start("run", env={"PYTHONPATH": "."})
    init.wait_for_hold()
    return init


def test_a_check_that_is_stopped_is_killed_at_its_limit_and_drift_is_found(
    run_inithold: Inithold, tmp_path: Path
) -> None:
    init = verifying(run_inithold, GUARD)

    def check() -> int:
        children = Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    until(lambda: check() != 0)
    stopped = check()
    os.kill(stopped, signal.SIGSTOP)
    init.wait_for_output(KILLED)
    assert init.stderr.count(KILLED) == 1
    (tmp_path / "made").unlink()
    init.wait_for_output("again: make: + made")
    until((tmp_path / "made").exists)
    until(lambda: run_inithold("health").returncode == 0)


def test_a_check_that_keeps_the_interpreter_is_ended_told_once_and_no_drift(
    run_inithold: Inithold, tmp_path: Path
) -> None:
    init = verifying(run_inithold, REGEX)
    (tmp_path / "hang").touch()
    checks = tmp_path / "checks"
    until(lambda: checks.exists() and len(checks.read_text().split()) >= 2, 90)
    assert run_inithold("health").returncode == 0
    until(lambda: "cannot be verified" in run_inithold("status").stdout, 30)
    (tmp_path / "made").unlink()
    init.wait_for_output("no longer in place: make: + made", 60)
    lines = [line for line in init.stderr.splitlines() if "hang: its time (1s) is up" in line]
    told = [line.partition("hang: ")[2] for line in lines]
    assert told, init.stderr
    # On a busy machine its time may be up before its check has begun, which is told in other words.
    assert len(told) == len(set(told))


def test_the_end_of_a_hold_takes_a_stopped_check_along(run_inithold: Inithold) -> None:
    init = verifying(run_inithold, GUARD)
    children = Path(f"/proc/{init.pid}/task/{init.pid}/children")
    until(lambda: bool(children.read_text().split()))
    check = int(children.read_text().split()[0])
    os.kill(check, signal.SIGSTOP)
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
    until(lambda: not Path(f"/proc/{check}").exists() or b"\0" not in Path(f"/proc/{check}/cmdline").read_bytes())


# -- output that nobody reads

LOUD = """
version: 1
name: loud
steps:
  - {id: loud, uses: command.run, timeout: %s, with: {run: 'while :; do echo %s; done'}}
"""


def unread(run_inithold: Inithold, timeout: str, *, fill: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    """A run whose output goes into a pipe that nobody reads."""
    (run_inithold.folder / "inithold.yaml").write_text(LOUD % (timeout, "x" * 200))
    reading, writing = os.pipe()
    os.write(writing, b"-" * fill)
    process = subprocess.Popen(
        [sys.executable, "-m", "inithold", "run"],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        cwd=run_inithold.folder,
        env={"PATH": os.environ["PATH"], "INITHOLD_MARKER": str(run_inithold.marker)},
        start_new_session=True,
    )
    remember(process.pid)
    os.close(writing)
    return process, reading


@pytest.mark.parametrize("fill", [0, 65536], ids=["it fills", "it is full"])
def test_a_full_pipe_stops_no_timeout(run_inithold: Inithold, fill: int) -> None:
    process, reading = unread(run_inithold, "1s", fill=fill)
    assert process.wait(timeout=30) == 1
    record = json.loads(Path(f"{run_inithold.marker}.record.json").read_text())
    assert record["outcome"] == "failed"
    assert "its time (1s) is up" in record["steps"][0]["reason"]
    os.close(reading)


def test_a_full_pipe_stops_no_signal_and_what_is_lost_is_counted(run_inithold: Inithold) -> None:
    process, reading = unread(run_inithold, "10m")
    record = Path(f"{run_inithold.marker}.record.json")
    until(lambda: record.exists() and json.loads(record.read_text())["steps"][0]["lines_left_out"] > 20_000, 60)
    seen = b""
    while b"lines were lost: nobody read the output" not in seen:
        seen = seen[-100:] + os.read(reading, 65536)
    until(lambda: json.loads(record.read_text())["outcome"] is None)
    process.send_signal(signal.SIGTERM)
    at = time.monotonic()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert time.monotonic() - at < PROMPTLY + 2
    os.close(reading)


def full(run_inithold: Inithold, plan: str, *arguments: str, prefix: Sequence[str] = ()) -> tuple[Running, int]:
    """A run whose output is a pipe that is full from the start and that nobody reads."""
    (run_inithold.folder / "inithold.yaml").write_text(plan)
    pipe = run_inithold.folder / "unread"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"-" * 4096)
    os.close(writing)
    program = ["sh", "-c", f'exec "$@" >{pipe} 2>&1', "sh", *prefix, sys.executable, "-m", "inithold"]
    return run_inithold.start(*arguments, program=program, env={"PYTHONPATH": "."}), reading


PID_1 = pytest.param(UNSHARE, marks=needs_leave)


@pytest.mark.parametrize("prefix", [[], PID_1], ids=["not PID 1", "PID 1"])
def test_a_full_pipe_stops_no_watchdog(run_inithold: Inithold, prefix: list[str]) -> None:
    (run_inithold.folder / "stuck.py").write_text(
        "import ctypes, inithold\n"
        "plan = inithold.Plan('stuck')\n"
        "@plan.step(timeout='1s')\n"
        "def get_stuck():\n"
        "    ctypes.PyDLL(None).pause()\n"
    )
    init, reading = full(run_inithold, "", "run", "--once", "stuck:plan", prefix=prefix)
    assert init.wait() == (1 if prefix else -signal.SIGKILL)
    record = Path(f"{run_inithold.marker}.record.json")
    until(lambda: json.loads(record.read_text())["outcome"] == "failed")
    os.close(reading)


@needs_leave
def test_a_full_pipe_keeps_no_pid_1_whose_run_was_killed(run_inithold: Inithold) -> None:
    init, reading = full(run_inithold, LOUD % ("10m", "x"), "run", prefix=UNSHARE)
    record = Path(f"{run_inithold.marker}.record.json")
    init.wait_until(record.exists, "the run")
    one = pid_one(init)
    os.kill(int(Path(f"/proc/{one}/task/{one}/children").read_text().split()[0]), signal.SIGKILL)
    assert init.wait() == 128 + signal.SIGKILL
    os.close(reading)


def test_a_full_pipe_stops_no_verifying_hold(run_inithold: Inithold) -> None:
    init, reading = full(run_inithold, STUCK % GUARD, "run")
    init.wait_for_hold()
    children = Path(f"/proc/{init.pid}/task/{init.pid}/children")
    for _ in range(2):
        # That a check was killed is said; the next one must come all the same.
        init.wait_until(lambda: bool(children.read_text().split()), "a check")
        check = int(children.read_text().split()[0])
        os.kill(check, signal.SIGKILL)
        init.wait_until(lambda pid=check: str(pid) not in children.read_text().split(), "its end")
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
    os.close(reading)


# -- signals

BEFORE_EXEC = """
import os, signal, sys, threading, time
from inithold.hold import holder
from inithold.hold.holder import Orders
from inithold.process.signals import EndingSignals

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
execve = os.execve

def late(*arguments):
    # The thread that sleeps does not block it, and takes it.
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(0.1)
    execve(*arguments)

with EndingSignals() as signals:
    os.execve = late
    os.execv = lambda program, arguments: late(program, arguments, dict(os.environ))
    holder.block_signals()
    if sys.argv[1] == "verifying":
        command = (sys.executable, "-c", "print('again', flush=True)")
        orders = Orders(float("inf"), 5.0, "rerun", "marker", os.getcwd(), "{}", command)
        signals.spares_hangup = True
        holder.become_verifier(orders, signals.noted)
    holder.become_holder(signals.noted)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hold", ["catatonit", "interpreter", "verifying"])
def test_a_signal_that_another_thread_takes_just_before_the_hold_ends_it(hold: str, number: int) -> None:
    path = os.environ["PATH"] if hold == "catatonit" else "/nowhere"
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_EXEC, hold, str(int(number))],
        env={"PATH": path},
        timeout=30,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")


DURING_THE_RUN = """
import os, signal, threading, time
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.process.signals import EndingSignals
from inithold.runner.events import Span
from inithold.runner.run import Runner
from inithold.runner.stream import Stream
from inithold.steps.base import Step

begun, blocked = threading.Event(), {signal.SIGTERM}

class Waits(Step, frozen=True, kw_only=True):
    kind = "test.waits"

    def check(self, context):
        begun.set()
        while True:
            context.check_cancelled()
            time.sleep(0.01)

def send():
    begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=send, daemon=True).start()
# The kernel gives the signal to a thread that does not block it; only the main one can run Python's handlers.
signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
runner = Runner(CheckedPlan("x", (PlannedStep("a", Waits()),), ""), Stream(()), Span("0" * 32, "0" * 16))
with EndingSignals(runner.cancel):
    print(runner.run().reason)
"""


def test_a_signal_that_another_thread_takes_ends_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DURING_THE_RUN], timeout=30, check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("SIGTERM\n", "")


FORKS = """
import multiprocessing, os, signal, time
import inithold

def work():
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as pool:
        print(pool.map(abs, [-1, -2]))
    for number in (signal.SIGTERM, signal.SIGHUP):
        child = fork.Process(target=time.sleep, args=(60,))
        child.start()
        os.kill(child.pid, number)
        child.join()
    print("joined", child.exitcode)
    # Longer than a run that was told to end would be let go on.
    time.sleep(7)

plan = inithold.Plan("forks")
plan.step()(work)
"""


@pytest.mark.parametrize("where", ["worker", "run", pytest.param("PID 1", marks=needs_leave)])
def test_what_user_code_forks_ends_when_it_is_told_to_and_the_run_goes_on(
    run_inithold: Inithold, where: str
) -> None:
    (run_inithold.folder / "forks.py").write_text(FORKS)
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nname: forks\nsteps:\n- {id: work, uses: python.call, with: {call: 'forks:work'}}\n"
    )
    plan = [] if where == "worker" else ["forks:plan"]
    prefix = UNSHARE if where == "PID 1" else []
    init = run_inithold.start("run", "--once", *plan, prefix=prefix, env={"PYTHONPATH": "."})
    assert init.wait(60) == 0, init.output
    assert "[1, 2]" in init.output
    assert f"joined {-signal.SIGHUP}" in init.output
    assert "Traceback" not in init.output


def test_a_rerun_that_another_thread_takes_just_before_the_hold_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_EXEC, "verifying", str(int(signal.SIGHUP))],
        cwd=tmp_path,
        timeout=30,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"again\n", b"")


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal (proc_pid_status(5))."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    mask = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(mask >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15])
def test_a_signal_at_the_start_ends_it_without_a_traceback(
    run_inithold: Inithold, delay: float, number: signal.Signals
) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(LOUD % ("10m", "x"))
    init = run_inithold.start("run")
    # Before that, the interpreter has not come to any code of ours.
    until(lambda: catches(init.pid, signal.SIGTERM))
    time.sleep(delay)
    init.signal(number)
    assert init.wait() == 128 + number
    assert "Traceback" not in init.stderr


@needs_leave
@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1])
def test_a_signal_at_the_start_of_pid_1_ends_it(run_inithold: Inithold, delay: float) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(LOUD % ("10m", "x"))
    init = run_inithold.start("run", prefix=UNSHARE)
    until(lambda: bool(init.descendants()))
    first = pid_one(init)
    # As PID 1 it takes no signal without a handler, but one that it blocks.
    until(lambda: catches(first, signal.SIGTERM))
    time.sleep(delay)
    os.kill(first, signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM
    assert "Traceback" not in init.stderr
