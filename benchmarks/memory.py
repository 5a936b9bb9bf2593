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
MOST = {"without telemetry": 1.6 * 15, "with telemetry": 1.6 * 29}
"""MiB of a start with nothing to do."""


def processes(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from processes(int(child))


def memory(pid: int) -> tuple[float, float]:
    """Anonymous memory and PSS of a process, in MiB."""
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    kilobytes = {row[0]: int(row[1]) for row in rows}
    return kilobytes["Anonymous:"] / 1024, kilobytes["Pss:"] / 1024


def peak(stack: Stack) -> Sequence[Result]:
    """Of a start on empty servers and of one with nothing to do, beside Alembic in the same process by hand."""
    peaks: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for telemetry in MOST:
            environment = stack.empty()
            if telemetry == "without telemetry":
                environment = {name: value for name, value in environment.items() if not name.startswith("OTEL_")}
            for start in ("cold (empty servers)", "warm (nothing to do)"):
                of_start = peaks.setdefault(f"{start}, {telemetry}", {"inithold": [], "alembic in process": []})
                # The first of two finds empty servers: the other has some of its own.
                of_start["inithold"].append(_peak(stack, "inithold", environment))
            of_start["alembic in process"].append(_peak(stack, "alembic in process", environment))
    results = []
    for label, of_start in peaks.items():
        ours = statistics.median(of_start["inithold"])
        telemetry = label.rpartition(", ")[2]
        theirs = statistics.median(peaks[f"warm (nothing to do), {telemetry}"]["alembic in process"])
        bound = MOST[telemetry] if label.startswith("warm") else 1.6 * theirs
        results.append(
            Result(
                f"peak memory of a run's processes together, {label}",
                ours,
                bound,
                "MiB",
                f"by hand {theirs:.1f} MiB",
            )
        )
    return results


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
