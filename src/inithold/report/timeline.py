"""Positions on the time axis, in percent of its width: bars and their parts, ticks, the critical path."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec

from inithold.record.model import StepRecord
from inithold.record.table import critical_path
from inithold.report.reading import Run
from inithold.text.duration import short, spoken

MOST_TICKS = 6
_LEAST_LENGTH = 0.001
_DECIMALS = (1, 2, 5)
_STEPS = (
    *(factor * 10**power for power in range(-4, 1) for factor in _DECIMALS),
    *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0),
)


class Tick(NamedTuple):
    """A mark on the axis, in percent."""

    at: float
    label: str


class Segment(NamedTuple):
    """A part of a bar, in percent; the phase is `earlier` for phases that the record has not kept."""

    phase: str
    at: float
    width: float
    title: str


class Mark(NamedTuple):
    """The end of a failed attempt."""

    at: float
    title: str


class Links(msgspec.Struct):
    """Where the critical path enters a lane from above, passes through it, or leaves it below; in percent."""

    enters: float | None = None
    passes: float | None = None
    leaves: float | None = None


class Lane(NamedTuple):
    """One step's row of the timeline, in percent; `at` is None if it never started."""

    label: str
    links: Links
    at: float | None = None
    width: float = 0.0
    segments: tuple[Segment, ...] = ()
    marks: tuple[Mark, ...] = ()


class Scale:
    """Converts times to percent of the axis.

    Args:
        start: Unix time of its left end, in seconds.
        length: its length in seconds.
    """

    def __init__(self, start: float, length: float) -> None:
        self.start = start
        self.length = max(length, _LEAST_LENGTH)

    def at(self, moment: float) -> float:
        """Percent from the left, clamped to the axis."""
        return round(min(100.0, max(0.0, (moment - self.start) / self.length * 100)), 3)

    def ticks(self) -> tuple[Tick, ...]:
        """Ticks at round values: 0, and at most `MOST_TICKS` others."""
        fitting = (step for step in _STEPS if self.length / step <= MOST_TICKS)
        step = next(fitting, self.length / MOST_TICKS)
        count = int(self.length / step + 1e-9)
        return tuple(
            Tick(round(number * step / self.length * 100, 3), short(round(number * step, 6)) if number else "0")
            for number in range(count + 1)
        )


def scale_of(run: Run) -> Scale:
    """The axis of a run: from its start to the end of the run or of its last step."""
    ends = [step.ended for step in run.record.steps if step.ended is not None]
    return Scale(run.record.started, max([run.ended, *ends]) - run.record.started)


def ordered(run: Run) -> list[StepRecord]:
    """The steps in the order they started; those that never started come last, in plan order."""
    return sorted(run.record.steps, key=lambda step: float("inf") if step.started is None else step.started)


def lanes(run: Run, scale: Scale) -> dict[str, Lane]:
    """A lane for each step id; the critical path goes through the lanes in the order of `ordered`."""
    steps = ordered(run)
    links = {step.id: Links() for step in steps}
    rows = {step.id: row for row, step in enumerate(steps)}
    # From a step's end down to the start of the next on the path.
    for above, below in pairwise(critical_path(run.plain["steps"])):
        first, last = rows[above], rows[below]
        if first >= last:
            continue  # the clock was set back
        at = scale.at(steps[last].started or 0.0)
        links[above].leaves = links[below].enters = at
        for row in range(first + 1, last):
            links[steps[row].id].passes = at
    made: dict[str, Lane] = {}
    for step in steps:
        if step.started is None:
            made[step.id] = Lane("never started", links[step.id])
            continue
        ended = ended_at(step, run)
        at = scale.at(step.started)
        after = spoken(max(0.0, step.started - run.record.started))
        made[step.id] = Lane(
            f"starts {after} into the run, takes {spoken(ended - step.started)}",
            links[step.id],
            at,
            round(scale.at(ended) - at, 3),
            tuple(_segments(step, ended, scale)),
            tuple(Mark(scale.at(each.at), f"attempt {each.number} did not succeed") for each in step.failures),
        )
    return made


def ended_at(step: StepRecord, run: Run) -> float:
    """When a started step ended; for one that goes on, the run's `ended`."""
    return max(step.started or 0.0, step.ended if step.ended is not None else run.ended)


def spans(step: StepRecord, ended: float) -> Iterator[tuple[str, int, float, float]]:
    """The step's phases: name, attempt, begin and end."""
    for index, phase in enumerate(step.phases):
        end = step.phases[index + 1].at if index + 1 < len(step.phases) else ended
        yield phase.phase, phase.attempt, phase.at, max(phase.at, end)


def _segments(step: StepRecord, ended: float, scale: Scale) -> Iterator[Segment]:
    def segment(phase: str, begin: float, end: float, title: str) -> Segment:
        at = scale.at(begin)
        return Segment(phase, at, round(max(0.0, scale.at(end) - at), 3), title)

    began = step.started or 0.0
    kept_from = step.phases[0].at if step.phases else ended
    if step.phases_left_out or not step.phases:
        # The record has not kept these phases.
        title = f"earlier attempts, not told apart: {spoken(max(0.0, kept_from - began))}"
        yield segment("earlier", began, kept_from, title)
    for phase, attempt, begin, end in spans(step, ended):
        yield segment(phase, begin, end, f"{phase} {spoken(end - begin)}, attempt {attempt}")
