"""The record while a run goes on, and what it says of a run whose lock failed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from inithold.record import files as file
from inithold.record.account import Account
from inithold.record.table import failure, headline
from inithold.runner.events import (
    PhaseChanged,
    PlannedStepInfo,
    RunFinished,
    RunStarted,
    Span,
    StepFinished,
    Timing,
)

INFO = PlannedStepInfo("broker", "rabbitmq.ready", ())


def begun(*steps: PlannedStepInfo) -> Account:
    account = Account()
    account.see(RunStarted(at=100.0, name="shop", run_id="1", digest="2", span=Span("3", "4"), steps=steps))
    return account


def test_times_are_current_while_a_step_runs() -> None:
    account = begun(INFO)
    for at, phase, attempt in (
        (100, "checking", 1),
        (102, "waiting", 1),
        (107, "checking", 2),
        (108, "applying", 2),
    ):
        account.see(PhaseChanged(at=at, step="broker", phase=phase, attempt=attempt))  # type: ignore[arg-type]
    step = account.step("broker")
    assert (step.checking, step.waiting, step.applying) == (3.0, 5.0, 0.0)
    exact = Timing(waiting=5.1, checking=3.2, applying=0.5)
    account.see(StepFinished(step="broker", outcome="changed", attempts=2, timing=exact))
    assert (step.checking, step.waiting, step.applying) == (3.2, 5.1, 0.5)


def test_a_run_that_no_step_failed_says_itself_why_and_what_next() -> None:
    account = begun(INFO)
    account.see(RunFinished(at=103.0, outcome="failed", duration=3, reason="lock: not let in", hint="fix it"))
    record = msgspec.to_builtins(account.record)
    assert headline(record, now=103) == "shop: failed after 3.00 s: 1 pending"
    assert failure(record) == "the run failed\n  seen:  lock: not let in\n  tried: for 3.00 s\n  next:  fix it"


def test_what_ended_the_run_is_told_before_what_it_tolerates() -> None:
    account = begun(INFO, PlannedStepInfo("seed", "command.run", ()))
    account.see(StepFinished(step="broker", outcome="failed", attempts=1, reason="no", tolerated=True))
    account.see(StepFinished(step="seed", outcome="failed", attempts=1, reason="exited 3"))
    account.see(RunFinished(outcome="failed", duration=3, reason="seed: exited 3"))
    said = failure(msgspec.to_builtins(account.record))
    assert said.index("step seed ") < said.index("step broker ")
    assert "the run failed" not in said


def test_fewer_are_kept_where_fewer_are_asked_for(tmp_path: Path) -> None:
    path = str(tmp_path / "x.record.json")

    def runs() -> list[int]:
        return [json.loads(Path(found).read_text()) for found in file.existing(path)]

    for number in range(14):
        file.rotate(path, 10)
        Path(path).write_text(str(number))
    assert runs() == [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    file.rotate(path, 2)
    Path(path).write_text("14")
    assert runs() == [14, 13, 12]
    file.rotate(path, 0)
    Path(path).write_text("15")
    assert runs() == [15]
