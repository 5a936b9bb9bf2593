"""Runs of steps in a thread of their own, for tests that do something meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.events import LogLine, Span, StepFinished, StepWaiting
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream
from inithold.steps.base import Step
from inithold.testing import Collected


class Started:
    """A run in a thread of its own."""

    def __init__(self, *steps: Step, timeout: float | None = 60.0) -> None:
        self.collected = Collected()
        planned = tuple(
            PlannedStep(f"s{number}", step, timeout=timeout, retry=None) for number, step in enumerate(steps)
        )
        span = Span("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
        self.runner = Runner(CheckedPlan("test", planned, "0" * 64), Stream([self.collected]), span)
        self.result: RunResult | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.result = self.runner.run()

    def until(self, line: str) -> None:
        self.until_true(lambda: any(isinstance(e, LogLine) and line in e.text for e in self.collected.events))

    def until_true(self, condition: Callable[[], object]) -> None:
        ends_at = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < ends_at
            assert self.thread.is_alive(), self.result
            time.sleep(0.01)

    def waits_for(self, words: str) -> None:
        """Wait until it says that it waits, and for what."""
        self.until_true(
            lambda: any(isinstance(e, StepWaiting) and words in e.reason for e in self.collected.events)
        )

    def end(self) -> StepFinished:
        """Wait for the end of a run of one step."""
        self.thread.join(60)
        assert self.result is not None
        return self.result.steps[0]

    def stop(self) -> float:
        """Cancel; how many seconds it took."""
        began = time.monotonic()
        self.runner.cancel("SIGTERM")
        self.thread.join(20)
        assert not self.thread.is_alive()
        return time.monotonic() - began
