"""From the start of the process to its first connection attempt, and to ready."""

from __future__ import annotations

import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.env_styles import ENVS
from benchmarks.result import Result
from benchmarks.stack import CONTESTANTS, PROJECT, Stack

ROUNDS = 31


def first_connection(stack: Stack) -> Sequence[Result]:
    """Telemetry on; the servers' ports lead to a listener that notes the time."""
    names = ("inithold", "alembic as a child")
    rounds = [[_first_connection(stack, name) for name in names] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(times) for times in zip(*rounds, strict=True))
    return [
        Result(
            "start to the first connection attempt, telemetry on", ours / theirs, 0.4, "x", _beside(ours, theirs)
        )
    ]


def _first_connection(stack: Stack, contestant: str) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.settimeout(30)
        environment = stack.environment(
            f"postgresql://u:password@127.0.0.1:{port}/d", f"amqp://u:password@127.0.0.1:{port}/v"
        )
        init = stack.start(contestant, environment)
        listener.accept()[0].close()
        seconds = time.monotonic() - init.started
        init.end()
    return seconds


class Times(NamedTuple):
    """Of one start, in seconds."""

    ready: float
    processor: float


def to_ready(stack: Stack) -> Sequence[Result]:
    """Cold: empty servers. Warm: nothing to do. All contestants in turns, each cold one on servers of its own."""
    names = [name for name in CONTESTANTS if name != "gate"]
    cold: dict[str, list[Times]] = {name: [] for name in names}
    warm: dict[str, list[Times]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            environment = stack.empty()
            for times in (cold, warm):
                init = stack.start(name, environment)
                times[name].append(Times(init.until_ready(), init.processor_time()))
                init.end()
    results = []
    for label, times, most in (("cold (empty servers)", cold, 1.0), ("warm (nothing to do)", warm, 0.5)):
        ours = _medians(times["inithold"])
        for rival, bound in (("alembic as a child", 0.65), ("alembic in process", most)):
            theirs = _medians(times[rival])
            ratio = _ratio(times["inithold"], times[rival])
            # Of a child, processor time would count nothing while that has not ended.
            in_process = rival == "alembic in process"
            beside = _both(ours, theirs) if in_process else _beside(ours.ready, theirs.ready)
            results.append(Result(f"start to ready, {label}, against {rival}", ratio, bound, "x", beside))
    return results


def warm_styles(stack: Stack) -> Sequence[Result]:
    """Nothing to do, with the env.py files that most projects have, beside Alembic in the same process."""
    results = []
    rival = "alembic in process"
    for style, env in ENVS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copy(PROJECT / "alembic.ini", folder)
            shutil.copytree(PROJECT / "migrations", folder / "migrations")
            (folder / "migrations" / "env.py").write_text(env)
            environment = stack.empty()
            times: dict[str, list[Times]] = {"inithold": [], rival: []}
            for number in range(1 + ROUNDS):
                for contestant, each in times.items():
                    init = stack.start(contestant, environment, folder=folder)
                    measured = Times(init.until_ready(), init.processor_time())
                    init.end()
                    if number:  # the first finds empty servers
                        each.append(measured)
        ours, theirs = map(_medians, times.values())
        label = f"start to ready, warm, env.py with {style}, against {rival}"
        results.append(Result(label, _ratio(times["inithold"], times[rival]), 0.5, "x", _both(ours, theirs)))
    return results


def _ratio(ours: Sequence[Times], theirs: Sequence[Times]) -> float:
    """The median of the rounds' ratios: in one round, the machine's speed is the same for both."""
    return statistics.median(our.ready / their.ready for our, their in zip(ours, theirs, strict=True))


def _medians(times: Sequence[Times]) -> Times:
    ready, processor = zip(*times, strict=True)
    return Times(statistics.median(ready), statistics.median(processor))


def _both(ours: Times, theirs: Times) -> str:
    used = f"{ours.processor * 1000:.0f} ms against {theirs.processor * 1000:.0f} ms"
    return f"{_beside(ours.ready, theirs.ready)}; processor time {used}"


def _beside(ours: float, theirs: float) -> str:
    return f"{ours * 1000:.0f} ms against {theirs * 1000:.0f} ms by hand"
