"""What the record keeps for a timeline: when each phase began, bounded, and what a step that failed wanted."""

from __future__ import annotations

import json

import jsonschema
import msgspec

from inithold.lifecycle import schemas
from inithold.record.model import PHASES_KEPT, Record
from inithold.runner.events import PlannedStepInfo, StepChecked
from inithold.steps.base import Change
from records import Story, failed, info, ready


def test_each_phase_is_kept_with_its_attempt() -> None:
    broker = next(step for step in ready().steps if step.id == "broker")
    assert [(phase.phase, phase.attempt) for phase in broker.phases] == [
        *((phase, attempt) for attempt in range(1, 5) for phase in ("checking", "waiting")),
        ("checking", 5),
    ]
    assert broker.phases_left_out == 0


def test_of_many_phases_the_last_are_kept() -> None:
    story = Story("long", PlannedStepInfo("slow", "file.ready", ()))
    story.start("slow", 0)
    for attempt in range(1, 101):
        story.phase("slow", attempt, "checking", attempt)
        story.phase("slow", attempt + 0.5, "waiting", attempt)
    (step,) = story.record.steps
    assert len(step.phases) == PHASES_KEPT
    assert step.phases_left_out == 200 - PHASES_KEPT
    assert step.phases[-1].attempt == 100


def test_a_step_that_fails_keeps_what_it_wanted_and_one_that_does_not_keeps_nothing() -> None:
    story = Story("wants", info("bad", "x"), info("good", "x"))
    for step in ("bad", "good"):
        story.start(step, 0)
        story.account.see(StepChecked(step=step, changes=(Change("+", "a thing"),)))
    story.finish("bad", 1, "failed", reason="no", tolerated=True)
    story.finish("good", 1, "changed", Change("+", "a thing"))
    bad, good = story.record.steps
    assert (bad.wanted, bad.changes) == ((Change("+", "a thing"),), ())
    assert good.wanted == ()


def test_records_are_as_their_schema_says() -> None:
    for record in (ready(), failed()):
        jsonschema.validate(json.loads(msgspec.json.encode(record)), schemas.record())


def test_a_record_of_before_phases_were_kept_is_still_read() -> None:
    plain = msgspec.to_builtins(ready())
    for step in plain["steps"]:
        for name in ("phases", "phases_left_out", "wanted"):
            del step[name]
    jsonschema.validate(json.loads(json.dumps(plain)), schemas.record())
    assert msgspec.convert(plain, Record).steps[0].phases == []
