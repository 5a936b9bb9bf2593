"""Where things are on the time axis."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inithold.record.model import Record, StepRecord
from inithold.report.reading import Run, read_all
from inithold.report.timeline import MOST_TICKS, Scale, lanes, ordered, scale_of
from records import BEGAN, Story, info, ready, stack, write


def run_of(record: Record, as_of: float | None = None) -> Run:
    return Run(record, msgspec.to_builtins(record), as_of or record.ended or BEGAN + 10)


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (4.1, ["0", "1s", "2s", "3s", "4s"]),
        (0.3, ["0", "50ms", "100ms", "150ms", "200ms", "250ms", "300ms"]),
        (90, ["0", "15s", "30s", "45s", "1m", "1m15s", "1m30s"]),
        (3600 * 5, ["0", "1h", "2h", "3h", "4h", "5h"]),
    ],
)
def test_ticks_are_round(length: float, labels: list[str]) -> None:
    assert [tick.label for tick in Scale(0, length).ticks()] == labels


@pytest.mark.parametrize("length", [0, 1e-6, 0.0042, 1, 59.9, 61, 86_400 * 400, 1e12])
def test_there_are_never_more_ticks_than_fit(length: float) -> None:
    ticks = Scale(0, length).ticks()
    assert 1 <= len(ticks) <= MOST_TICKS + 1
    assert all(0 <= tick.at <= 100 for tick in ticks)


def test_a_bar_is_the_phases_one_after_another() -> None:
    run = run_of(ready())
    lane = lanes(run, scale_of(run))["database"]
    assert [part.phase for part in lane.segments] == ["checking", "waiting", "checking"]
    for part, following in zip(lane.segments, lane.segments[1:], strict=False):
        assert part.at + part.width == pytest.approx(following.at, abs=0.01)
    assert len(lane.marks) == 1
    assert "takes 1.46 s" in lane.label


def test_the_critical_path_goes_down_from_each_end_to_the_next_start() -> None:
    run = run_of(ready())
    found = lanes(run, scale_of(run))
    assert [step.id for step in ordered(run)] == ["database", "broker", "migrate", "topology", "schema", "seed"]
    assert found["database"].links.leaves == found["broker"].links.passes == found["migrate"].links.enters
    assert found["migrate"].links.leaves == found["topology"].links.passes == found["schema"].links.enters
    assert found["database"].links.enters is None
    assert found["seed"].links.leaves is None


def test_what_the_record_does_not_tell_apart_is_drawn_as_such() -> None:
    record = ready()
    for step in record.steps:
        step.phases.clear()
    run = run_of(record)
    assert {part.phase for lane in lanes(run, scale_of(run)).values() for part in lane.segments} == {"earlier"}


def test_a_step_that_never_started_has_no_bar_and_comes_last() -> None:
    record = Record("x", "", "", "", "", "", BEGAN, ended=BEGAN + 1, steps=[StepRecord("never", "x")])
    record.steps.append(StepRecord("did", "x", started=BEGAN, ended=BEGAN + 1))
    run = run_of(record)
    assert [step.id for step in ordered(run)] == ["did", "never"]
    assert lanes(run, scale_of(run))["never"].at is None


def test_a_run_that_goes_on_reaches_until_its_record_was_written(tmp_path: Path) -> None:
    (run,) = read_all([str(write(stack().record, tmp_path / "running.json"))])
    assert run.record.ended is None
    assert run.as_of > BEGAN + 3
    lane = lanes(run, scale_of(run))["seed"]
    assert lane.at is not None
    assert lane.at + lane.width == pytest.approx(100, abs=0.01)


def test_a_clock_that_was_set_back_breaks_nothing() -> None:
    story = Story("back", info("a", "x"), info("b", "x", "a"))
    for step, at in (("a", 5.0), ("b", 2.0)):
        story.start(step, at)
        story.phase(step, at, "checking")
        story.phase(step, at - 1, "applying")
        story.finish(step, at - 3, "unchanged")
    run = run_of(story.end(-4))
    for lane in lanes(run, scale_of(run)).values():
        assert lane.width >= 0
        assert all(part.width >= 0 and 0 <= part.at <= 100 for part in lane.segments)
