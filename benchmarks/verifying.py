"""What a hold that verifies costs, and how soon it sees that something is gone."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pika

from benchmarks.engine import STEP
from benchmarks.result import Result
from benchmarks.stack import Init, Stack
from inithold.hold.verifier import HOLDS

NEVER_MEANWHILE = "1h"
QUIET = 20.0
"""Seconds in which a hold with a long pace is watched."""
CHECKS = ROUNDS = 9
PACE = 5.0
DRIFTS = 5
STEPS = 1_000


def verifying(stack: Stack) -> Sequence[Result]:
    """The five-step plan held with `--verify`, then a plan of a thousand steps."""
    environment = stack.empty()
    held = _held(stack, environment, NEVER_MEANWHILE)
    anonymous, wakeups = _anonymous(held), _wakeups(held, QUIET)
    five = _checks(held, CHECKS)
    again, fresh = zip(*((_again(held), _fresh(stack, environment)) for _ in range(ROUNDS)), strict=True)
    held.end()
    found, after_drift = _drifts(stack, environment)
    ours, new = statistics.median(again), statistics.median(fresh)
    return [
        Result("anonymous memory between checks", anonymous, 4, "MiB"),
        Result(f"wake-ups in {QUIET:g} s between checks", wakeups, 0, "times"),
        Result(
            "a check of the five steps, processor time", five.processor, 0.35, "s", f"{five.seconds:.2f} s long"
        ),
        _thousand(),
        Result(
            f"a deleted queue is found, pace {PACE:g} s, worst of {DRIFTS}",
            max(found) / PACE,
            # Checks start at the pace; what goes just after one has looked is seen by the next one.
            round(1 + five.seconds / PACE, 2),
            "paces",
            f"median {statistics.median(found):.1f} s; the bound is a pace and a check",
        ),
        Result(
            "ready again, asked by SIGHUP, against a fresh run",
            ours / new,
            1.1,
            "x",
            f"{ours * 1000:.0f} ms against {new * 1000:.0f} ms; after drift {after_drift * 1000:.0f} ms",
        ),
    ]


def _held(stack: Stack, environment: Mapping[str, str], pace: str) -> Init:
    """An init service that holds, telemetry sent and all."""
    init = stack.start("inithold", environment, more=("--verify", pace))
    init.until_ready()
    while not _is_holding(init):
        time.sleep(0.05)
    time.sleep(0.5)
    return init


def _is_holding(init: Init) -> bool:
    """Whether the process has become the program that holds."""
    return any(part.endswith(b"verifier.py") for part in _command_line(init))


def _command_line(init: Init) -> list[bytes]:
    return Path(f"/proc/{init.process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


# -- between checks


def _anonymous(init: Init) -> float:
    lines = Path(f"/proc/{init.process.pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


def _wakeups(init: Init, seconds: float) -> int:
    before = _switches(init)
    time.sleep(seconds)
    return _switches(init) - before


def _switches(init: Init) -> int:
    """How often the process has gone to sleep: once for each time it was woken."""
    lines = Path(f"/proc/{init.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))


# -- one check


class Cost(NamedTuple):
    """Medians of some checks, in seconds."""

    processor: float
    seconds: float


def _checks(init: Init, count: int) -> Cost:
    """Make checks as the hold makes them: with the command line in its arguments, and in its environment."""
    parts = _command_line(init)
    # The order is that of `hold.holder.Orders`.
    at = next(index for index, part in enumerate(parts) if part.endswith(b"verifier.py"))
    _pace, _limit, _on_drift, _marker, folder, *command = parts[at + 1 :]
    environ = Path(f"/proc/{init.process.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    variables = {name: value for name, _, value in (each.partition(b"=") for each in environ)}
    found = [_check(command, folder, variables) for _ in range(count)]
    processor, seconds = zip(*found, strict=True)
    return Cost(statistics.median(processor), statistics.median(seconds))


def _check(command: Sequence[bytes], folder: bytes, variables: Mapping[bytes, bytes]) -> tuple[float, float]:
    began = time.monotonic()
    child = subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != HOLDS:
        raise RuntimeError(f"a check of what holds exits with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began


def _thousand() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        plan, marker = Path(folder, "plan.yaml"), Path(folder, "marker")
        plan.write_text("version: 1\nname: many\nsteps:\n" + "".join(STEP.format(n=n) for n in range(STEPS)))
        environment = {"PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "inithold", "run", "--verify", NEVER_MEANWHILE, str(plan)]
        init = Init.begun(command, environment, marker, Path(folder, "log"), Path(folder))
        init.until_ready()
        while not _is_holding(init):
            time.sleep(0.05)
        cost = _checks(init, CHECKS)
        init.end()
    return Result(f"{STEPS:,} steps verified", cost.seconds, 2, "s", f"{cost.processor:.2f} s of processor time")


# -- what is gone, and ready again


def _again(init: Init) -> float:
    """Seconds from SIGHUP until the marker of the new run is there, and the hold after it."""
    before = init.marker.stat().st_ino, init.marker.stat().st_mtime_ns
    at = time.monotonic()
    init.process.send_signal(signal.SIGHUP)
    while True:
        try:
            seen = init.marker.stat()
        except FileNotFoundError:
            seen = None
        if seen is not None and (seen.st_ino, seen.st_mtime_ns) != before:
            break
        time.sleep(0.001)
    seconds = time.monotonic() - at
    while not _is_holding(init):
        time.sleep(0.05)
    return seconds


def _fresh(stack: Stack, environment: Mapping[str, str]) -> float:
    init = stack.start("inithold", environment, more=("--verify", NEVER_MEANWHILE))
    seconds = init.until_ready()
    init.end()
    return seconds


def _drifts(stack: Stack, environment: Mapping[str, str]) -> tuple[list[float], float]:
    """Delete a queue at moments all over the pace: seconds until the marker is gone, and until it is back."""
    held = _held(stack, environment, f"{PACE:g}s")
    found, back = [], []
    for number in range(DRIFTS):
        time.sleep(PACE * (1 + number / DRIFTS))
        connection = pika.BlockingConnection(pika.URLParameters(environment["RABBITMQ_URL"]))
        connection.channel().queue_delete("bot_events")
        at = time.monotonic()
        connection.close()
        while held.marker.exists():
            time.sleep(0.001)
        gone = time.monotonic()
        while not held.marker.exists():
            time.sleep(0.001)
        found.append(gone - at)
        back.append(time.monotonic() - gone)
    held.end()
    return found, statistics.median(back)
