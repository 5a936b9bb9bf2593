"""Small plans for the telemetry tests, and the life of a run without its marker and hold."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from threading import Timer

from inithold.errors import NotYet, StepFailed
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.events import MarkerPublished, PlannedStepInfo, RunFinished, RunStarted, Span
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream
from inithold.runner.trace_context import run_span
from inithold.steps.base import Change, Step, StepContext
from inithold.testing import Collected
from inithold.watchers.telemetry import make
from inithold.watchers.telemetry.watcher import Telemetry

DIGEST = "0" * 64


class Holds(Step):
    """There is nothing to do."""

    kind = "test.holds"

    def check(self, context: StepContext) -> Sequence[Change]:
        return ()


class Makes(Step):
    """Makes two things, and says so."""

    kind = "test.makes"
    lines: int = 1

    def subject(self) -> str:
        return "test://things"

    def check(self, context: StepContext) -> Sequence[Change]:
        return () if self in MADE else (Change("+", "queue one"), Change("~", "schema a -> b"))

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        for number in range(self.lines):
            context.log(f"line {number}", level="warning" if number == 0 else "info")
        context.log("not for everyone", level="debug")
        MADE.append(self)


MADE: list[Step] = []


class Fails(Step):
    """Fails at its third attempt."""

    kind = "test.fails"

    def check(self, context: StepContext) -> Sequence[Change]:
        TRIED.append(self)
        if len(TRIED) < 3:
            raise NotYet("not up")
        try:
            raise PermissionError("wrong password")
        except PermissionError as error:
            raise StepFailed("the server said no", hint="ask it nicely") from error


TRIED: list[Step] = []


class Waits(Step):
    """Never holds."""

    kind = "test.waits"

    def check(self, context: StepContext) -> Sequence[Change]:
        raise NotYet("still nothing")


class Ran:
    """A run and the telemetry of it, not yet sent."""

    def __init__(self, telemetry: Telemetry, span: Span, result: RunResult, collected: Collected) -> None:
        self.telemetry = telemetry
        self.span = span
        self.result = result
        self.collected = collected

    def send(self, seconds: float = 10.0, *, retry: bool = False) -> tuple[str | None, float]:
        """Finish telemetry: the line it answers with and how long it took."""
        began = time.monotonic()
        line = self.telemetry.finish(seconds, retry=retry, wait=True)
        return line, time.monotonic() - began


def run(*steps: PlannedStep, cancel_after: float | None = None) -> Ran:
    """Run steps in a plan named `demo`, watched by telemetry as `os.environ` configures it."""
    MADE.clear()
    TRIED.clear()
    plan = CheckedPlan("demo", steps, DIGEST)
    warnings: list[str] = []
    telemetry = make(os.environ, warnings.append)
    assert telemetry is not None
    assert warnings == []
    collected = Collected()
    stream = Stream([collected, telemetry])
    span = run_span(os.environ)
    infos = tuple(PlannedStepInfo(step.id, step.kind, step.needs, step.step.subject()) for step in steps)
    stream.emit(RunStarted(name="demo", run_id="run-1", digest=DIGEST, span=span, steps=infos))
    telemetry.start_sender()  # as a run that takes longer does
    runner = Runner(plan, stream, span)
    if cancel_after is not None:
        Timer(cancel_after, runner.cancel, ["SIGTERM"]).start()
    began = time.monotonic()
    result = runner.run()
    stream.emit(RunFinished(outcome=result.outcome, duration=time.monotonic() - began, reason=result.reason))
    if result.outcome == "ready":
        stream.emit(MarkerPublished(path="/tmp/init-complete"))
    return Ran(telemetry, span, result, collected)
