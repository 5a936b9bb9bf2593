"""Compares two runs: what ended differently, what got slower or faster, what changed."""

from __future__ import annotations

from typing import Literal, NamedTuple

from inithold.report.page import View, anchors_of, run_view
from inithold.report.reading import Run
from inithold.report.timeline import Scale, ended_at, scale_of
from inithold.text.duration import spoken

NOTABLE_SECONDS = 0.05
NOTABLE_SHARE = 0.1
"""A step counts as slower or faster if its time differs by this many seconds and by this share."""
MINUS = "\N{MINUS SIGN}"
Pace = Literal["slower", "faster", "same", "unknown"]


class Pair(NamedTuple):
    """A step in both runs; None if a run does not have it. `difference` is that of its times, with a sign."""

    id: str
    before: View | None
    after: View | None
    seconds: float
    difference: str
    pace: Pace

    @property
    def kind(self) -> str:
        """The step's kind; both if they differ."""
        kinds = dict.fromkeys(view["kind"] for view in (self.before, self.after) if view is not None)
        return " → ".join(kinds)


def comparison(before: Run, after: Run) -> View:
    """Compare two runs, the earlier one first."""
    length = max(scale_of(before).length, scale_of(after).length)
    anchors = anchors_of(after, before)
    earlier = run_view(before, scale=Scale(before.record.started, length), anchors=anchors, drawn=False)
    later = run_view(after, scale=Scale(after.record.started, length), anchors=anchors)
    were, are = earlier["by_id"], later["by_id"]
    took, takes = _times(before), _times(after)
    pairs: list[Pair] = []
    # In the order they started in the later run, then those that only the earlier run has.
    for step in dict.fromkeys((*are, *were)):
        change: tuple[str, Pace] = ("", "unknown")
        if step in took and step in takes:
            change = _difference(took[step], takes[step])
        seconds = takes.get(step, 0.0) - took.get(step, 0.0)
        pairs.append(Pair(step, were.get(step), are.get(step), seconds, *change))
    difference, pace = _difference(before.took, after.took)
    return {
        "before": earlier,
        "after": later,
        # A different outcome matters more than any difference in time.
        "verdict": ""
        if earlier["outcome"] == later["outcome"]
        else f"The earlier run {_ended(earlier)}; the later run {_ended(later)}.",
        "difference": difference,
        "pace": pace,
        "pairs": pairs,
        "otherwise": [
            pair
            for pair in pairs
            if pair.before is None or pair.after is None or pair.before["state_shown"] != pair.after["state_shown"]
        ],
        "slower": sorted((pair for pair in pairs if pair.pace == "slower"), key=lambda pair: -pair.seconds),
        "faster": sorted((pair for pair in pairs if pair.pace == "faster"), key=lambda pair: pair.seconds),
        "facts": [
            (name, was, now)
            for name, was, now in (
                ("environment", before.record.name, after.record.name),
                ("plan digest", before.record.digest, after.record.digest),
                ("inithold", before.record.inithold, after.record.inithold),
                ("Python", before.record.python, after.record.python),
            )
            if was != now
        ],
    }


def _ended(run: View) -> str:
    failed = [step["id"] for step in run["steps"] if step["state"] == "failed"]
    at = f" at {', '.join(failed[:3])}" if failed else ""
    words = {"failed": f"failed{at}", "cancelled": "was cancelled", "running": "is running"}
    return words.get(run["outcome"], "was ready")


def _times(run: Run) -> dict[str, float]:
    return {step.id: ended_at(step, run) - step.started for step in run.record.steps if step.started is not None}


def _difference(was: float, now: float) -> tuple[str, Pace]:
    difference = now - was
    if abs(difference) < 0.0005:
        return "\N{PLUS-MINUS SIGN}0", "same"
    text = f"{'+' if difference > 0 else MINUS}{spoken(abs(difference))}"
    if abs(difference) < NOTABLE_SECONDS or abs(difference) < NOTABLE_SHARE * max(was, now):
        return text, "same"
    return text, "slower" if difference > 0 else "faster"
