"""The table of a record: aligned, within the terminal, short where there is little to tell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inithold.record.model import Record, StepRecord, StepState
from inithold.record.table import MOST_FAILURES, MOST_ROWS, critical_path, failure, headline, table
from inithold.runner.events import RunOutcome
from inithold.steps.base import Change


def step(number: int, state: StepState = "unchanged", **more: Any) -> StepRecord:
    return StepRecord(f"step-{number}", "file.ready", state=state, started=1.0, ended=2.0, attempts=1, **more)


def record(*steps: StepRecord, outcome: RunOutcome | None = "ready") -> dict[str, Any]:
    whole = Record("demo", "0" * 64, "1", "2", "0.1.0", "3.11", 1.0, ended=3.5, outcome=outcome, steps=list(steps))
    return msgspec.to_builtins(whole)  # type: ignore[no-any-return]


CHANGES = (Change("+", "a rather long name of a thing that is made, longer than any terminal"), Change("+", "x"))


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_the_table_fits_the_terminal(width: int) -> None:
    shown = table(record(step(1), step(2, "changed", changes=CHANGES)), colour=False, now=4.0, width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert "changed" in shown


def test_without_a_terminal_nothing_is_cut_but_long_changes() -> None:
    shown = table(record(step(2, "changed", changes=CHANGES)), colour=False, now=4.0)
    assert "+ a rather long name" in shown
    assert "and 1 more" in shown
    assert "AFTER" in shown


def test_a_thousand_steps_are_folded() -> None:
    steps = [step(number) for number in range(1000)]
    steps[700] = step(700, "changed", changes=CHANGES)
    steps[300] = step(300, "failed", reason="broken")
    shown = table(record(*steps), colour=False, now=4.0).splitlines()
    assert [line.split()[0].strip("*") or line.split()[1] for line in shown[1:3]] == ["step-300", "step-700"]
    assert shown[3] == "  and 998 more: 998 unchanged"
    assert len(shown) == 4


def test_of_too_many_changes_those_that_failed_are_shown_first() -> None:
    steps = [step(number, "changed", changes=CHANGES) for number in range(1000)] + [
        step(1000, "failed", reason="x")
    ]
    shown = table(record(*steps), colour=False, now=4.0).splitlines()
    assert len(shown) == MOST_ROWS + 2
    assert "step-1000" in shown[-2]
    assert shown[-1] == f"  and {1001 - MOST_ROWS} more: {1001 - MOST_ROWS} changed"


def test_where_nothing_happened_only_the_count_is_told() -> None:
    assert table(record(*map(step, range(1000))), colour=False, now=4.0) == "  1000 steps: 1000 unchanged"


def test_many_failures_are_told_in_part() -> None:
    steps = [step(number, "failed", reason="x") for number in range(50)]
    steps += [step(50 + number, "skipped", reason="needs step-1, which failed") for number in range(50)]
    told = failure(record(*steps, outcome="failed"))
    assert told.count("  seen:  x") == MOST_FAILURES
    assert "and 40 more steps failed" in told
    assert told.endswith("step-59 and 40 more")


def test_a_tolerated_failure_is_named() -> None:
    values = record(step(1), step(2, "failed", reason="broken", tolerated=True))
    assert headline(values, now=4.0) == "demo: ready in 2.50 s: 1 unchanged, 1 failed, without step-2"
    assert "failed, tolerated" in table(values, colour=False, now=4.0)
    assert "the plan goes on without it" in failure(values)


def test_the_critical_path_is_what_decided_how_long_it_took() -> None:
    steps = [
        StepRecord("a", "x", started=0.0, ended=1.0),
        StepRecord("b", "x", started=0.0, ended=5.0),
        StepRecord("c", "x", ("a", "b"), started=5.0, ended=6.0),
    ]
    assert critical_path(record(*steps)["steps"]) == ["b", "c"]


def test_colours_are_asked_for() -> None:
    assert "\x1b[" in table(record(step(1)), colour=True, now=4.0)
    assert "\x1b[" not in table(record(step(1)), colour=False, now=4.0)
