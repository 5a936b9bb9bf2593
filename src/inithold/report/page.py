"""The templates' view of a run and its steps: plain values, most of them text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, get_args

import msgspec

from inithold.record.model import StepRecord, StepState
from inithold.record.table import MOST_FAILURES, critical_path, titled
from inithold.report.graph import Direction, layout
from inithold.report.reading import Run, clock
from inithold.report.timeline import Lane, Scale, ended_at, lanes, ordered, scale_of, spans
from inithold.runner.events import PASSED_OVER, StepOutcome
from inithold.text.duration import spoken

FOLDED_ABOVE = 60
"""With more steps than this, the graph is folded, and drawn in one direction only."""
View = dict[str, Any]


def anchors_of(*runs: Run) -> dict[str, str]:
    """An HTML anchor for each step id, shared by all runs; numbered, because an id may be any text."""
    ids = dict.fromkeys(step.id for run in runs for step in run.record.steps)
    return {step: f"step-{number}" for number, step in enumerate(ids, 1)}


def run_view(
    run: Run, *, scale: Scale | None = None, anchors: Mapping[str, str] | None = None, drawn: bool = True
) -> View:
    """The view of a run.

    Args:
        run: the run.
        scale: its time axis; None for its own.
        anchors: its steps' anchors, if the page shows another run, too.
        drawn: whether to draw the graph.
    """
    record = run.record
    scale, anchors = scale or scale_of(run), anchors or anchors_of(run)
    path = critical_path(run.plain["steps"])
    lane_of = lanes(run, scale)
    steps = [_step_view(step, run, anchors, lane_of[step.id], step.id in path) for step in ordered(run)]
    by_id = {step["id"]: step for step in steps}
    in_order = [by_id[step.id] for step in record.steps]
    changed = [step for step in in_order if step["changes"]]
    # Tolerated failures come after those that ended the run.
    failed = sorted((step for step in in_order if step["state"] == "failed"), key=itemgetter("tolerated"))
    # A failed step's own reason is better than the run's.
    explained = record.outcome == "failed" and not all(step["tolerated"] for step in failed)
    lock = "" if record.lock_waited is None else f"waited {spoken(record.lock_waited)} for it"
    lock = f"waiting for it: {record.lock_waiting_for}" if record.lock_waiting_for else lock
    return {
        "name": titled(run.plain),
        "outcome": record.outcome or "running",
        "reason": "" if explained else record.reason,
        "hint": "" if explained else record.hint or "",
        "began": clock(record.started),
        "took": spoken(run.took),
        # For a run that goes on: the time up to which the record tells about it.
        "until": clock(run.as_of) if record.ended is None else "",
        "counts": list(_counts(in_order)),
        "without": [step.id for step in record.steps if step.tolerated],
        "failures": failed[:MOST_FAILURES],
        "failures_left_out": max(0, len(failed) - MOST_FAILURES),
        "not_started": [
            step.id for step in record.steps if step.state == "skipped" and step.reason != PASSED_OVER
        ],
        "path": [by_id[step] for step in path],
        "changed": changed,
        "changes": sum(len(step["changes"]) for step in changed),
        "attempts": sum(step["attempts"] for step in steps),
        "unmade": [step for step in in_order if step["unmade"]],
        "steps": steps,
        "by_id": by_id,
        "ticks": scale.ticks(),
        "lock": lock,
        "facts": [
            ("began", clock(record.started)),
            ("ended", clock(record.ended) if record.ended is not None else f"not by {clock(run.as_of)}"),
            *([("lock", lock)] if lock else []),
            ("marker", record.marker or ("left alone: a repair" if record.repair else "not published")),
            ("run", record.run_id),
            ("trace", record.trace_id),
            ("plan digest", record.digest),
            ("inithold", record.inithold),
            ("Python", record.python),
        ],
        "log": record.log,
        "graphs": list(_graphs(run)) if drawn else [],
        "repair": record.repair,
    }


def _counts(steps: list[View]) -> Iterator[View]:
    """The number of steps in each state, and the position of their part of the bar, in percent."""
    counted = Counter(step["state"] for step in steps)
    at = 0.0
    for state in get_args(StepState):
        if counted[state]:
            width = counted[state] / len(steps) * 100
            yield {"state": state, "number": counted[state], "at": round(at, 3), "width": round(width, 3)}
            at += width


def _graphs(run: Run) -> Iterator[tuple[Direction, Any]]:
    """Layouts for wide and for narrow windows; only one if there are many steps."""
    needs = {step.id: step.needs for step in run.record.steps}
    directions: tuple[Direction, ...] = ("across", "down") if len(needs) <= FOLDED_ABOVE else ("down",)
    for direction in directions if needs else ():
        yield direction, layout(needs, direction)


def _step_view(step: StepRecord, run: Run, anchors: Mapping[str, str], lane: Lane, on_path: bool) -> View:
    ended = ended_at(step, run)
    attempted = list(_attempts(step, run, ended))
    phases = {"waiting": step.waiting, "checking": step.checking, "applying": step.applying}
    after = took = ""
    if step.started is not None:
        after, took = spoken(max(0.0, step.started - run.record.started)), spoken(ended - step.started)
    return {
        **msgspec.structs.asdict(step),
        "anchor": anchors[step.id],
        "state_shown": f"{step.state}, tolerated" if step.tolerated else step.state,
        "on_path": on_path,
        "after": after,  # when its needs were met
        "took": took,
        "totals": [_part(phase, seconds) for phase, seconds in phases.items() if seconds],
        "needs": [{"id": need, "anchor": anchors[need]} for need in step.needs if need in anchors],
        "lane": lane,
        "attempted": attempted,
        "attempts_left_out": max(0, step.attempts - len(attempted)),
        "settled": step.state in get_args(StepOutcome),  # its changes are made, not pending
        "unmade": step.wanted if step.state in ("failed", "cancelled") else (),
    }


def _attempts(step: StepRecord, run: Run, ended: float) -> Iterable[View]:
    """The attempts that the record has kept."""
    errors = {failure.number: failure.error for failure in step.failures}
    done = {number: list(spent) for number, spent in groupby(spans(step, ended), key=itemgetter(1))}
    # The oldest one's beginning may be missing.
    whole = min(done, default=0) + bool(step.phases_left_out)
    for number in sorted({*errors, *done}):
        spent = done.get(number, [])
        error = errors.get(number, "")
        yield {
            "number": number,
            "at": spoken(max(0.0, spent[0][2] - run.record.started)) if spent and number >= whole else "",
            "parts": [_part(phase, end - begin) for phase, _, begin, end in spent],
            "error": error,
            "again": bool(error) and error == errors.get(number - 1),
        }


def _part(phase: str, seconds: float) -> View:
    return {"phase": phase, "took": spoken(seconds)}
