"""A run as the page shows it: what it came to, why it failed, what changed, how its steps hang together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import msgspec

from inithold.record.model import StepState
from inithold.record.table import MOST_FAILURES, critical_path, titled
from inithold.report.graph import Direction, Graph, layout
from inithold.report.reading import Run, clock
from inithold.report.steps import StepView, anchors_of, step_views
from inithold.report.timeline import Scale, Tick, scale_of
from inithold.runner.events import PASSED_OVER
from inithold.text.duration import spoken

FOLDED_ABOVE = 60
"""Steps above which the graph is folded and drawn in one direction only."""
_STATES: tuple[str, ...] = get_args(StepState)


class Count(msgspec.Struct, frozen=True):
    """How many steps are in a state, and where their part of the bar is, in percent."""

    state: str
    number: int
    at: float
    width: float


class RunView(msgspec.Struct, frozen=True):
    """A run.

    Args:
        name: of the environment; of a repair, with the part that was run.
        outcome: `ready`, `failed`, `cancelled` or `running`.
        reason: why it is not ready, or why it ran again, where no failed step tells it.
        hint: what to do next, beside that reason.
        began: when, for people.
        took: how long.
        until: of a run that goes on, until when the record tells of it.
        counts: of steps by state.
        without: ids of steps that failed and were tolerated.
        failures: the failed steps that are told in full.
        failures_left_out: how many more there are.
        not_started: ids of steps that a failure kept from starting.
        path: the critical path.
        changed: the steps that changed something, or are about to.
        unmade: the steps that did not succeed and are known to have wanted something.
        steps: in the order they started.
        ticks: of the axis.
        lock: how long the lock was waited for, or what is waited for; empty without a lock.
        facts: name and value of what identifies the run.
        log: lines of inithold itself.
        graphs: for wide and for narrow windows; one where there are many steps.
        repair: which part of the plan was run; empty for the whole of it.
    """

    name: str
    outcome: str
    reason: str
    hint: str
    began: str
    took: str
    until: str
    counts: tuple[Count, ...]
    without: tuple[str, ...]
    failures: tuple[StepView, ...]
    failures_left_out: int
    not_started: tuple[str, ...]
    path: tuple[StepView, ...]
    changed: tuple[StepView, ...]
    unmade: tuple[StepView, ...]
    steps: tuple[StepView, ...]
    ticks: tuple[Tick, ...]
    lock: str
    facts: tuple[tuple[str, str], ...]
    log: tuple[str, ...]
    graphs: tuple[tuple[Direction, Graph], ...]
    repair: str

    @property
    def by_id(self) -> dict[str, StepView]:
        """The steps by their ids."""
        return {step.id: step for step in self.steps}

    @property
    def attempts(self) -> int:
        """Of all steps together."""
        return sum(step.attempts for step in self.steps)

    @property
    def changes(self) -> int:
        """Changes made or wanted, of all steps together."""
        return sum(len(step.changes) for step in self.changed)


def run_view(
    run: Run, *, scale: Scale | None = None, anchors: Mapping[str, str] | None = None, drawn: bool = True
) -> RunView:
    """A run as the page shows it.

    Args:
        run: what to show.
        scale: its time axis, where it is to be another than its own.
        anchors: of its steps, where another run is on the same page.
        drawn: whether the graph is shown, too.
    """
    record = run.record
    scale = scale or scale_of(run)
    steps = step_views(run, scale, anchors or anchors_of(run))
    by_id = {step.id: step for step in steps}
    in_order = [by_id[step.id] for step in record.steps]
    # Those that the plan tolerates, which say so beside their state, come after those that ended it.
    failed = sorted(
        (step for step in in_order if step.state == "failed"), key=lambda step: step.said != step.state
    )
    own_reason = record.outcome != "failed" or all(step.said != step.state for step in failed)
    return RunView(
        name=titled(run.plain),
        outcome=record.outcome or "running",
        reason=record.reason if own_reason else "",
        hint=(record.hint or "") if own_reason else "",
        began=clock(record.started),
        took=spoken(run.took),
        until=clock(run.as_of) if record.ended is None else "",
        counts=tuple(_counts(in_order)),
        without=tuple(step.id for step in record.steps if step.tolerated),
        failures=tuple(failed[:MOST_FAILURES]),
        failures_left_out=max(0, len(failed) - MOST_FAILURES),
        not_started=tuple(
            step.id for step in record.steps if step.state == "skipped" and step.reason != PASSED_OVER
        ),
        path=tuple(by_id[step] for step in critical_path(run.plain["steps"])),
        changed=tuple(step for step in in_order if step.changes),
        unmade=tuple(step for step in in_order if step.unmade),
        steps=steps,
        ticks=scale.ticks(),
        lock=_lock(run),
        facts=tuple(_facts(run)),
        log=tuple(record.log),
        graphs=tuple(_graphs(run)) if drawn else (),
        repair=record.repair,
    )


def _counts(steps: Sequence[StepView]) -> Iterator[Count]:
    counted = Counter(step.state for step in steps)
    at = 0.0
    for state in _STATES:
        if counted[state]:
            width = counted[state] / len(steps) * 100
            yield Count(state, counted[state], round(at, 3), round(width, 3))
            at += width


def _lock(run: Run) -> str:
    if run.record.lock_waiting_for:
        return f"waiting for it: {run.record.lock_waiting_for}"
    return "" if run.record.lock_waited is None else f"waited {spoken(run.record.lock_waited)} for it"


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    record = run.record
    yield "began", clock(record.started)
    yield "ended", clock(record.ended) if record.ended is not None else f"not by {clock(run.as_of)}"
    if lock := _lock(run):
        yield "lock", lock
    yield "marker", record.marker or ("left alone: a repair" if record.repair else "not published")
    yield "run", record.run_id
    yield "trace", record.trace_id
    yield "plan digest", record.digest
    yield "inithold", record.inithold
    yield "Python", record.python


def _graphs(run: Run) -> Iterator[tuple[Direction, Graph]]:
    needs = {step.id: step.needs for step in run.record.steps}
    if not needs:
        return
    directions: tuple[Direction, ...] = ("across", "down") if len(needs) <= FOLDED_ABOVE else ("down",)
    for direction in directions:
        yield direction, layout(needs, direction)
