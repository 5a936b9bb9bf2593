"""Two runs side by side: what ended otherwise, what got slower or faster, what changed."""

from __future__ import annotations

from typing import Literal

import msgspec

from inithold.report.page import RunView, run_view
from inithold.report.reading import Run
from inithold.report.steps import StepView, anchors_of
from inithold.report.timeline import Scale, ended_at, scale_of
from inithold.text.duration import spoken

NOTABLE_SECONDS = 0.05
NOTABLE_SHARE = 0.1
"""A step got slower or faster where it took this much longer or shorter, both in seconds and as a share."""
Pace = Literal["slower", "faster", "same", "unknown"]


class Pair(msgspec.Struct, frozen=True):
    """A step in both runs; None where a run does not have it.

    Args:
        id: of the step.
        before: in the earlier run.
        after: in the later one.
        difference: of its time, with a sign; empty where one is missing.
        seconds: the same as a number.
        pace: the same in a word.
    """

    id: str
    before: StepView | None
    after: StepView | None
    difference: str
    seconds: float
    pace: Pace

    @property
    def outcome_differs(self) -> bool:
        """Whether it ended otherwise, or is in one of the runs only."""
        return self.before is None or self.after is None or self.before.said != self.after.said

    @property
    def kind(self) -> str:
        """The step's kind; both, where they differ."""
        kinds = dict.fromkeys(view.kind for view in (self.before, self.after) if view is not None)
        return " → ".join(kinds)


class Comparison(msgspec.Struct, frozen=True):
    """Two runs.

    Args:
        before: the earlier one.
        after: the later one.
        difference: of their time, with a sign.
        pace: the same in a word.
        pairs: steps, in the order they started in the later run, then those of the earlier run alone.
        facts: name and both values of what identifies the runs, where they differ.
    """

    before: RunView
    after: RunView
    difference: str
    pace: Pace
    pairs: tuple[Pair, ...]
    facts: tuple[tuple[str, str, str], ...]

    @property
    def verdict(self) -> str:
        """That the runs ended otherwise, which matters more than any time; empty where they agree."""
        if self.before.outcome == self.after.outcome:
            return ""
        return f"The earlier run {_ended(self.before)}; the later run {_ended(self.after)}."

    @property
    def otherwise(self) -> tuple[Pair, ...]:
        """What ended otherwise."""
        return tuple(pair for pair in self.pairs if pair.outcome_differs)

    @property
    def slower(self) -> tuple[Pair, ...]:
        """What got slower, most first."""
        return tuple(sorted((p for p in self.pairs if p.pace == "slower"), key=lambda p: -p.seconds))

    @property
    def faster(self) -> tuple[Pair, ...]:
        """What got faster, most first."""
        return tuple(sorted((p for p in self.pairs if p.pace == "faster"), key=lambda p: p.seconds))


def comparison(before: Run, after: Run) -> Comparison:
    """Compare two runs.

    Args:
        before: the earlier one.
        after: the later one.
    """
    length = max(scale_of(before).length, scale_of(after).length)
    anchors = anchors_of(after, before)
    earlier = run_view(before, scale=Scale(before.record.started, length), anchors=anchors, drawn=False)
    later = run_view(after, scale=Scale(after.record.started, length), anchors=anchors)
    were, are = earlier.by_id, later.by_id
    took, takes = _times(before), _times(after)
    difference, pace = _difference(before.took, after.took)
    return Comparison(
        earlier,
        later,
        difference,
        pace,
        tuple(
            _pair(step, were.get(step), are.get(step), took.get(step), takes.get(step))
            for step in dict.fromkeys((*are, *were))
        ),
        tuple(
            (name, was, now)
            for (name, was), (_, now) in zip(_versions(before), _versions(after), strict=True)
            if was != now
        ),
    )


def _ended(run: RunView) -> str:
    failed = [step.id for step in run.steps if step.state == "failed"]
    at = f" at {', '.join(failed[:3])}" if failed else ""
    return {"failed": f"failed{at}", "cancelled": "was cancelled", "running": "is running"}.get(
        run.outcome, "was ready"
    )


def _pair(
    step: str, before: StepView | None, after: StepView | None, was: float | None, now: float | None
) -> Pair:
    if was is None or now is None:
        return Pair(step, before, after, "", 0.0, "unknown")
    said, pace = _difference(was, now)
    return Pair(step, before, after, said, now - was, pace)


def _times(run: Run) -> dict[str, float]:
    return {step.id: ended_at(step, run) - step.started for step in run.record.steps if step.started is not None}


def _difference(was: float, now: float) -> tuple[str, Pace]:
    difference = now - was
    if abs(difference) < 0.0005:
        return "\N{PLUS-MINUS SIGN}0", "same"
    sign = "+" if difference > 0 else "\N{MINUS SIGN}"
    said = f"{sign}{spoken(abs(difference))}"
    if abs(difference) < NOTABLE_SECONDS or abs(difference) < NOTABLE_SHARE * max(was, now):
        return said, "same"
    return said, "slower" if difference > 0 else "faster"


def _versions(run: Run) -> tuple[tuple[str, str], ...]:
    record = run.record
    return (
        ("environment", record.name),
        ("plan digest", record.digest),
        ("inithold", record.inithold),
        ("Python", record.python),
    )
