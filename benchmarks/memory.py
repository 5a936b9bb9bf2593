"""What all processes of a run need together, at their peak."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.result import Result
from benchmarks.stack import Init, Stack

ROUNDS = 3
AFTER = 1.0
"""Seconds watched after ready: the sender has its peak then."""
MOST = {
    ("cold (empty servers)", "without telemetry"): 1.6 * 54.0,
    ("cold (empty servers)", "with telemetry"): 1.6 * 62.6,
    ("warm (nothing to do)", "without telemetry"): 1.6 * 29.2,
    ("warm (nothing to do)", "with telemetry"): 1.6 * 39.2,
}
"""MiB: 1.6 times what it was while user code and telemetry had no processes of their own."""


def processes(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from processes(int(child))


def memory(pid: int) -> tuple[float, float]:
    """Anonymous memory and PSS of a process, in MiB; of what a fork shares with its parent, half is in each."""
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    kilobytes = {row[0]: int(row[1]) for row in rows}
    return kilobytes["Pss_Anon:"] / 1024, kilobytes["Pss:"] / 1024


def peak(stack: Stack) -> Sequence[Result]:
    """Of a start on empty servers and of one with nothing to do, beside Alembic in the same process by hand."""
    ours: dict[tuple[str, str], list[float]] = {case: [] for case in MOST}
    by_hand: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for telemetry in ("without telemetry", "with telemetry"):
            environment = stack.empty()
            if telemetry == "without telemetry":
                environment = {name: value for name, value in environment.items() if not name.startswith("OTEL_")}
            for start in ("cold (empty servers)", "warm (nothing to do)"):
                ours[start, telemetry].append(_peak(stack, "inithold", environment))
            by_hand.setdefault(telemetry, []).append(_peak(stack, "alembic in process", environment))
    return [
        Result(
            f"peak memory of a run's processes together, {start}, {telemetry}",
            statistics.median(values),
            MOST[start, telemetry],
            "MiB",
            f"by hand, with nothing to do, {statistics.median(by_hand[telemetry]):.1f} MiB",
        )
        for (start, telemetry), values in ours.items()
    ]


def _peak(stack: Stack, contestant: str, environment: Mapping[str, str]) -> float:
    init = stack.start(contestant, environment)
    most = 0.0
    ends_at = float("inf")
    while time.monotonic() < ends_at:
        most = max(most, _together(init))
        if ends_at == float("inf") and init.marker.exists():
            ends_at = time.monotonic() + AFTER
        time.sleep(0.003)
    init.end()
    return most


def _together(init: Init) -> float:
    total = 0.0
    with suppress(OSError):  # one of them has ended
        for pid in processes(init.process.pid):
            with suppress(OSError, KeyError):
                total += memory(pid)[0]
    return total
