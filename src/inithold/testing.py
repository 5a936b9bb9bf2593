"""For tests of step kinds: drive a step through check, apply and check, or run one check.

from inithold.testing import drive

result = drive(MyStep(path="x"))
assert result.outcome == "changed"
assert drive(MyStep(path="x")).outcome == "unchanged"
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import msgspec

from inithold.lifecycle.python_plan import Plan
from inithold.plan.model import CheckedPlan, Retry
from inithold.runner.attempt import Work, converge, wait_for
from inithold.runner.context import Context
from inithold.runner.events import Event, LogLine, Span, StepFinished, StepWaiting
from inithold.runner.run import one_pass
from inithold.runner.stream import Stream
from inithold.runner.worker import Worker
from inithold.steps.base import Change, Step

_SPAN = Span("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


class Collected:
    """A watcher that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        return


class Driven(msgspec.Struct, frozen=True):
    """The result of driving a step.

    Args:
        finished: the runner's result: outcome, attempts, changes, reason, hint.
        events: all events meanwhile, in order.
    """

    finished: StepFinished
    events: tuple[Event, ...]

    @property
    def outcome(self) -> str:
        return self.finished.outcome

    @property
    def changes(self) -> tuple[str, ...]:
        """The changes as text: `+ queue bot_events`."""
        return tuple(str(change) for change in self.finished.changes)

    @property
    def reason(self) -> str:
        return self.finished.reason

    @property
    def log(self) -> tuple[str, ...]:
        """The step's log lines."""
        return tuple(event.text for event in self.events if isinstance(event, LogLine))

    @property
    def waited_for(self) -> tuple[str, ...]:
        """The reasons reported while it waited."""
        return tuple(event.reason for event in self.events if isinstance(event, StepWaiting))


def drive(step: Step, *, timeout: float | None = 30.0, retry: Retry | None = None, wait: bool = False) -> Driven:
    """Run one step as `inithold run` would, in this process.

    Args:
        step: the step to drive.
        timeout: time limit in seconds; None for no limit.
        retry: as in a plan.
        wait: only check, as `inithold wait` does.

    Raises:
        PlanError: a field of the step is invalid.
    """
    collected = Collected()
    plan = _plan_of(step)
    planned = msgspec.structs.replace(plan.steps[0], timeout=timeout, retry=retry)
    work: Work = wait_for if wait else converge
    result = one_pass(plan, (planned,), work, Stream([collected])).run()
    return Driven(result.steps[0], tuple(collected.events))


def check(step: Step) -> Sequence[Change]:
    """Check a step once and return the changes still needed.

    Raises:
        PlanError: a field of the step is invalid.
        StepError: what its `check` raises.
    """
    step = _plan_of(step).steps[0].step
    context = Context("step", _SPAN, Stream([]), None)
    if not step.in_worker:
        return step.check(context)
    with closing(Worker(step)) as worker:
        return worker.check(context)


def _plan_of(step: Step) -> CheckedPlan:
    """A plan of this step alone, checked as any other."""
    plan = Plan("test")
    plan.add(step, id="step")
    return plan.checked()
