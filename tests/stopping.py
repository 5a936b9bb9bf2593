"""Runs a step's apply in a thread and stops it in the middle, as a signal or a timeout does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.events import Span
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream
from inithold.steps.base import Step
from inithold.testing import Collected


def stopped_when(step: Step, begun: Callable[[], bool]) -> tuple[RunResult, float]:
    """Run a step, cancel the run once `begun` is true, and return how it ended and the seconds that took."""
    plan = CheckedPlan("test", (PlannedStep("step", step),), "0" * 64)
    runner = Runner(plan, Stream([Collected()]), Span("0" * 31 + "1", "0" * 15 + "1"))
    results: list[RunResult] = []
    thread = threading.Thread(target=lambda: results.append(runner.run()), daemon=True)
    thread.start()
    until(begun)
    at = time.monotonic()
    runner.cancel("SIGTERM")
    thread.join(timeout=20)
    return results[0], time.monotonic() - at


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is true; longer is an `AssertionError`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)
