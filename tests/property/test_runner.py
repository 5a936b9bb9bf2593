"""Any plan: each step ends once, after what it needs; nothing starts after a cancel; every run ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inithold.errors import NotYet, StepFailed
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.events import LogLine, Span, StepFinished, StepStarted
from inithold.runner.run import Runner
from inithold.runner.stream import Stream
from inithold.steps.base import Change, Step, StepContext
from inithold.testing import Collected

DOES = ("nothing", "nothing", "nothing", "fails", "ends the thread", "never holds")


class Does(Step, frozen=True, kw_only=True):
    kind: ClassVar[str] = "test.does"

    what: str

    def check(self, context: StepContext) -> Sequence[Change]:
        if self.what == "fails":
            raise StepFailed("no")
        if self.what == "ends the thread":
            raise SystemExit(3)
        if self.what == "never holds":
            raise NotYet("not yet")
        return ()


@st.composite
def _plans(draw: st.DrawFn) -> CheckedPlan:
    steps = []
    for number in range(draw(st.integers(1, 20))):
        needs = draw(st.sets(st.sampled_from([step.id for step in steps]), max_size=3)) if steps else ()
        what = draw(st.sampled_from(DOES))
        steps.append(
            PlannedStep(
                f"s{number}",
                Does(what=what),
                needs=tuple(needs),
                timeout=0.02 if what == "never holds" else draw(st.sampled_from([None, 0.02, 60])),
                enabled=draw(st.integers(0, 5)) > 0,
                on_failure=draw(st.sampled_from(["fail", "continue"])),
            )
        )
    return CheckedPlan(
        "test", tuple(draw(st.permutations(steps))), "0" * 64, timeout=draw(st.sampled_from([None, 0.05]))
    )


@pytest.fixture(scope="module", autouse=True)
def _hasty() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@given(_plans(), st.one_of(st.none(), st.floats(0, 0.03)))
@settings(max_examples=150, deadline=None)
def test_any_plan(plan: CheckedPlan, cancelled_after: float | None) -> None:
    collected = Collected()
    runner = Runner(plan, Stream([collected]), Span("0" * 31 + "1", "0" * 15 + "1"))
    if cancelled_after is not None:
        threading.Timer(cancelled_after, runner.cancel, ["SIGTERM"]).start()
    result = runner.run()
    needs = {planned.id: planned.needs for planned in plan.steps}
    started: set[str] = set()
    finished: dict[str, StepFinished] = {}
    told = False
    for event in collected.events:
        if isinstance(event, StepStarted):
            assert event.step not in started
            assert all(finished[need].met for need in needs[event.step])
            assert not told
            started.add(event.step)
        elif isinstance(event, StepFinished):
            assert event.step not in finished
            finished[event.step] = event
        elif isinstance(event, LogLine):
            told = told or "starting nothing new" in event.text
    assert finished.keys() == needs.keys()
    assert result.steps == tuple(finished[planned.id] for planned in plan.steps)
    if result.outcome == "ready":
        assert all(step.met for step in result.steps)
