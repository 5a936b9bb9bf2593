"""Drives one step, and cancels the run in the middle of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.events import Span
from inithold.runner.run import Runner
from inithold.runner.stream import Stream
from inithold.steps.base import Step
from inithold.testing import Collected, Driven

_SPAN = Span("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def cancelled(step: Step, when: Callable[[], bool]) -> tuple[Driven, float]:
    """Run the step and cancel the run, as SIGTERM does, as soon as something is true.

    Returns:
        what became of it, and the seconds from the cancelling to the end of the run.
    """
    collected = Collected()
    plan = CheckedPlan("test", (PlannedStep("step", step, timeout=30.0),), "0" * 64)
    runner = Runner(plan, Stream([collected]), _SPAN)
    at: list[float] = []

    def cancel() -> None:
        deadline = time.monotonic() + 20
        while not when() and time.monotonic() < deadline:
            time.sleep(0.01)
        at.append(time.monotonic())
        runner.cancel("SIGTERM")

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    result = runner.run()
    ended = time.monotonic()
    thread.join(timeout=20)
    assert at, "it ended before it was cancelled"
    return Driven(result.steps[0], tuple(collected.events)), ended - at[0]
