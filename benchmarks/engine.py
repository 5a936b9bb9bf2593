"""What the engine itself costs: a step that has nothing to do, and a health check."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.result import Result

ROUNDS = 7
RUN = (sys.executable, "-m", "inithold", "run", "--once")
STEP = "  - id: s{n}\n    uses: file.ready\n    with: {{path: /}}\n"


def cost_per_step() -> Sequence[Result]:
    """Whole runs of plans of 1, 1,000 and 10,000 steps that have nothing to do, load included, telemetry off.

    The least of some rounds in turns: whatever else the machine does only adds to it.
    """
    counts = (1, 1_000, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        plans = [_plan(Path(folder), count) for count in counts]
        environment = {"PATH": os.environ["PATH"], "INITHOLD_MARKER": str(Path(folder, "marker"))}
        rounds = [[_seconds([*RUN, plan], environment) for plan in plans] for _ in range(ROUNDS)]
    one, thousand, ten_thousand = (min(times) for times in zip(*rounds, strict=True))
    small, large = (thousand - one) / 999 * 1000, (ten_thousand - one) / 9_999 * 1000
    beside = f"a plan of one step {one * 1000:.0f} ms, of 1,000 {thousand * 1000:.0f} ms"
    return [
        Result("engine, a step that has nothing to do, of 1,000", small, 0.3, "ms", beside),
        Result("the same of 10,000, against 1,000", large / small, 1.2, "x", f"{large:.3f} ms a step"),
    ]


def _plan(folder: Path, count: int) -> str:
    plan = folder / f"plan-{count}.yaml"
    plan.write_text("version: 1\nname: cost\nsteps:\n" + "".join(STEP.format(n=n) for n in range(count)))
    return str(plan)


def health() -> Sequence[Result]:
    """`inithold health` (the console script, not ready) and `inithold status` beside `python -c pass`."""
    script = str(Path(sys.executable).with_name("inithold"))
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.environ["PATH"], "INITHOLD_MARKER": f"{folder}/marker"}
        plan = Path(folder, "plan.yaml")
        plan.write_text("version: 1\nname: health\nsteps:\n" + STEP.format(n=1))
        init = subprocess.Popen(
            [sys.executable, "-m", "inithold", "run", str(plan)], env=environment, stderr=subprocess.DEVNULL
        )
        while not Path(folder, "marker").exists():
            time.sleep(0.01)
        nothing = _median([sys.executable, "-c", "pass"], environment, 31)
        ready = _median([script, "health"], environment, 31)
        status = _median([script, "status"], environment, 31)
        init.kill()
        init.wait()
    beside = f"{ready * 1000:.0f} ms against {nothing * 1000:.0f} ms"
    return [
        Result("inithold health (ready), against python -c pass", ready / nothing, 2, "x", beside),
        Result("inithold status", status * 1000, 150, "ms"),
    ]


def _seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.monotonic() - began


def _median(command: Sequence[str], environment: dict[str, str], rounds: int) -> float:
    return statistics.median(_seconds(command, environment) for _ in range(rounds))
