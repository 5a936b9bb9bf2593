"""A step as the page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import get_args

import msgspec

from inithold.record.model import StepRecord
from inithold.record.table import critical_path
from inithold.report.reading import Run
from inithold.report.timeline import Lane, Scale, ended_at, lanes, ordered, spans
from inithold.runner.events import StepOutcome
from inithold.steps.base import Change
from inithold.text.duration import spoken


class Link(msgspec.Struct, frozen=True):
    """A step that another names.

    Args:
        id: of the step.
        anchor: its place on the page; never made of its id, which may be anything.
    """

    id: str
    anchor: str


class Part(msgspec.Struct, frozen=True):
    """What an attempt did, and for how long."""

    phase: str
    took: str


class AttemptView(msgspec.Struct, frozen=True):
    """An attempt.

    Args:
        number: from 1.
        at: when it began, from the start of the run; empty where the record does not say.
        parts: in order.
        error: what was seen; empty where it succeeded or goes on.
        again: whether the attempt before it saw the same.
    """

    number: int
    at: str
    parts: tuple[Part, ...]
    error: str
    again: bool


class StepView(msgspec.Struct, frozen=True):
    """A step; the fields that are not told here are the record's (`inithold.record.model.StepRecord`)."""

    id: str
    anchor: str
    kind: str
    target: str
    state: str
    said: str
    """Its state in words."""
    on_path: bool
    after: str
    """How long after the run's start its needs were met."""
    took: str
    totals: tuple[Part, ...]
    needs: tuple[Link, ...]
    lane: Lane
    attempts: int
    attempted: tuple[AttemptView, ...]
    """Those attempts that the record keeps."""
    changes: tuple[Change, ...]
    unmade: tuple[Change, ...]
    """Of a step that did not succeed: what its last check wanted."""
    reason: str
    hint: str
    waiting_for: str
    log: tuple[str, ...]
    lines_left_out: int

    @property
    def settled(self) -> bool:
        """Whether it has ended, so that its changes are made rather than wanted."""
        return self.state in get_args(StepOutcome)

    @property
    def attempts_left_out(self) -> int:
        return max(0, self.attempts - len(self.attempted))


def anchors_of(*runs: Run) -> dict[str, str]:
    """The place on the page of each step, by its id: the same for a step that several runs have."""
    ids = dict.fromkeys(step.id for run in runs for step in run.record.steps)
    return {step: f"step-{number}" for number, step in enumerate(ids, 1)}


def step_views(run: Run, scale: Scale, anchors: Mapping[str, str]) -> tuple[StepView, ...]:
    """Every step of a run, in the order they started."""
    path = set(critical_path(run.plain["steps"]))
    lane_of = lanes(run, scale)
    return tuple(_view(step, run, anchors, lane_of[step.id], step.id in path) for step in ordered(run))


def _view(step: StepRecord, run: Run, anchors: Mapping[str, str], lane: Lane, on_path: bool) -> StepView:
    ended = ended_at(step, run)
    never = step.started is None
    return StepView(
        id=step.id,
        anchor=anchors[step.id],
        kind=step.kind,
        target=step.target,
        state=step.state,
        said=f"{step.state}, tolerated" if step.tolerated else step.state,
        on_path=on_path,
        after="" if never else spoken(max(0.0, (step.started or 0.0) - run.record.started)),
        took="" if never else spoken(ended - (step.started or 0.0)),
        totals=tuple(
            Part(phase, spoken(seconds))
            for phase, seconds in (
                ("waiting", step.waiting),
                ("checking", step.checking),
                ("applying", step.applying),
            )
            if seconds
        ),
        needs=tuple(Link(need, anchors[need]) for need in step.needs if need in anchors),
        lane=lane,
        attempts=step.attempts,
        attempted=tuple(_attempts(step, run, ended)),
        changes=step.changes,
        unmade=step.wanted if step.state in ("failed", "cancelled") else (),
        reason=step.reason,
        hint=step.hint or "",
        waiting_for=step.waiting_for,
        log=tuple(step.log),
        lines_left_out=step.lines_left_out,
    )


def _attempts(step: StepRecord, run: Run, ended: float) -> Iterable[AttemptView]:
    errors = {failure.number: failure.error for failure in step.failures}
    done = {number: list(spent) for number, spent in groupby(spans(step, ended), key=itemgetter(1))}
    # Of the oldest that is kept the beginning may be missing.
    whole = min(done, default=0) if not step.phases_left_out else min(done, default=0) + 1
    for number in sorted({*errors, *done}):
        spent = done.get(number, [])
        began = f"{spoken(max(0.0, spent[0][2] - run.record.started))}" if spent and number >= whole else ""
        parts = tuple(Part(phase, spoken(end - begin)) for phase, _, begin, end in spent)
        error = errors.get(number, "")
        yield AttemptView(number, began, parts, error, bool(error) and error == errors.get(number - 1))
