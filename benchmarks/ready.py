"""From the start of the process to its first connection attempt, and to ready."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence

from benchmarks.result import Result
from benchmarks.stack import CONTESTANTS, Stack

ROUNDS = 7


def first_connection(stack: Stack) -> Sequence[Result]:
    """Telemetry on; the servers' ports lead to a listener that notes the time."""
    found = {
        name: [_first_connection(stack, name) for _ in range(ROUNDS)]
        for name in ("inithold", "alembic as a child")
    }
    ours, theirs = (statistics.median(found[name]) for name in ("inithold", "alembic as a child"))
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


def to_ready(stack: Stack) -> Sequence[Result]:
    """Cold: empty servers. Warm: nothing to do. All contestants in turns, each cold one on servers of its own."""
    cold: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    warm: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name in CONTESTANTS:
            environment = stack.empty()
            for times in (cold, warm):
                init = stack.start(name, environment)
                times[name].append(init.until_ready())
                init.end()
    results = []
    for label, times in (("cold (empty servers)", cold), ("warm (nothing to do)", warm)):
        ours = statistics.median(times["inithold"])
        for rival, bound in (("alembic as a child", 0.65), ("alembic in process", 0.9)):
            theirs = statistics.median(times[rival])
            results.append(
                Result(
                    f"start to ready, {label}, against {rival}", ours / theirs, bound, "x", _beside(ours, theirs)
                )
            )
    return results


def _beside(ours: float, theirs: float) -> str:
    return f"{ours * 1000:.0f} ms against {theirs * 1000:.0f} ms by hand"
