"""The order of steps, and what each is accounted for."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from inithold.errors import Interrupted, NotYet, Rejected, StepFailed
from inithold.plan.model import CheckedPlan, PlannedStep, Retry
from inithold.runner.attempt import Work, converge, wait_for
from inithold.runner.events import PASSED_OVER, Event, Span, StepFinished, StepStarted, StepWaiting
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream
from inithold.steps.base import Change, Step, StepContext
from inithold.steps.command import Run
from inithold.testing import Collected, drive
from inithold.text.duration import Duration
from promptness import PROMPTLY
from stopping import until

SPAN = Span("0" * 31 + "1", "0" * 15 + "1")


class Scripted(Step, frozen=True, kw_only=True):
    """A step whose check and apply are functions of the test."""

    kind: ClassVar[str] = "test.scripted"

    checks: Any = None
    applies: Any = None

    def check(self, context: StepContext) -> Sequence[Change]:
        return self.checks(context) if self.checks else ()

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        if self.applies:
            self.applies(context)


class UserCode(Scripted, frozen=True, kw_only=True):
    retries_failures: ClassVar[bool] = True


def missing(what: str = "thing") -> tuple[Change, ...]:
    return (Change("+", what),)


def in_turn(*answers: Any) -> Callable[[StepContext], Any]:
    """A check that gives each answer once and then repeats the last; exceptions are raised."""
    remaining = list(answers)

    def answer(_: StepContext) -> Any:
        found = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def fails(message: str = "no") -> Scripted:
    return Scripted(checks=in_turn(StepFailed(message)))


def run(*steps: PlannedStep, timeout: float | None = None, work: Work = converge) -> tuple[RunResult, list[Event]]:
    collected = Collected()
    plan = CheckedPlan("test", steps, "0" * 64, timeout=timeout)
    result = Runner(plan, Stream([collected]), SPAN, work=work).run()
    return result, collected.events


def outcomes(result: RunResult) -> dict[str, str]:
    return {step.step: step.outcome for step in result.steps}


def test_a_step_that_holds_is_unchanged() -> None:
    assert drive(Scripted()).outcome == "unchanged"


def test_a_step_that_is_applied_and_then_holds_is_changed() -> None:
    driven = drive(Scripted(checks=in_turn(missing(), ())))
    assert (driven.outcome, driven.changes) == ("changed", ("+ thing",))


def test_a_step_that_says_it_worked_and_does_not_hold_has_failed() -> None:
    driven = drive(Scripted(checks=in_turn(missing())))
    assert driven.outcome == "failed"
    assert driven.reason == "applied, and still not in place: + thing"


def test_what_cannot_be_checked_is_done_and_not_checked_again() -> None:
    checked = []
    step = Scripted(checks=lambda _: checked.append(1) or (Change("?", "seed"),))
    assert drive(step).outcome == "changed"
    assert len(checked) == 1


def test_what_cannot_be_checked_does_not_count_after_apply() -> None:
    step = Scripted(checks=in_turn((Change("+", "queue"), Change("?", "binding")), (Change("?", "binding"),)))
    assert drive(step).outcome == "changed"


def test_unmet_fails_a_kind_that_only_looks() -> None:
    driven = drive(
        Scripted(checks=in_turn((Change("!", "table users missing"), Change("!", "table games missing"))))
    )
    assert (driven.outcome, driven.reason) == ("failed", "table users missing, table games missing")


def test_not_yet_is_tried_again_until_it_holds() -> None:
    driven = drive(Scripted(checks=in_turn(NotYet("starting up"), NotYet("starting up"), ())))
    assert (driven.outcome, driven.finished.attempts) == ("unchanged", 3)
    assert driven.waited_for == ("starting up",)


def test_never_is_not_tried_again() -> None:
    driven = drive(Scripted(checks=in_turn(Rejected("no such role", hint="make it"), ())))
    assert (driven.outcome, driven.reason, driven.finished.hint) == ("failed", "no such role", "make it")
    assert driven.finished.attempts == 1


def test_not_yet_in_apply_starts_over_from_the_check() -> None:
    driven = drive(
        Scripted(checks=in_turn(missing(), missing(), ()), applies=in_turn(NotYet("connection lost"), None))
    )
    assert (driven.outcome, driven.finished.attempts) == ("changed", 2)


def test_what_was_made_before_a_connection_was_lost_counts_as_changed() -> None:
    driven = drive(Scripted(checks=in_turn(missing(), NotYet("connection lost"), ())))
    assert (driven.outcome, driven.changes) == ("changed", ("+ thing",))


def test_attempts_bound_not_yet() -> None:
    retry = Retry(attempts=3, delay=Duration(0.01))
    driven = drive(Scripted(checks=in_turn(NotYet("starting up"))), retry=retry)
    assert (driven.outcome, driven.reason, driven.finished.attempts) == ("failed", "starting up", 3)


def test_failures_of_user_code_are_tried_again_only_with_retry() -> None:
    def flaky() -> UserCode:
        return UserCode(checks=in_turn((Change("?", "seed"),)), applies=in_turn(StepFailed("exited 1"), None))

    assert drive(flaky()).outcome == "failed"
    assert drive(flaky(), retry=Retry(delay=Duration(0.01))).outcome == "changed"


def test_failures_of_kinds_are_not_tried_again_even_with_retry() -> None:
    driven = drive(Scripted(checks=in_turn(StepFailed("bad SQL"), ())), retry=Retry(delay=Duration(0.01)))
    assert driven.finished.attempts == 1


def test_a_timeout_bounds_all_attempts_together_and_says_what_was_seen() -> None:
    driven = drive(Scripted(checks=in_turn(NotYet("starting up", hint="patience"))), timeout=0.3)
    assert driven.outcome == "failed"
    assert driven.reason == "its time (300ms) is up: starting up"
    assert driven.finished.hint == "patience"
    assert driven.finished.attempts > 1


def test_a_timeout_interrupts_what_listens() -> None:
    def wait(context: StepContext) -> None:
        woken = threading.Event()
        with context.on_cancel(woken.set):
            assert woken.wait(10)
        context.check_cancelled()

    driven = drive(Scripted(checks=in_turn(missing()), applies=wait), timeout=0.2)
    assert (driven.outcome, driven.reason) == ("failed", "its time (200ms) is up")


def test_an_exception_of_a_kind_is_accounted_for() -> None:
    driven = drive(Scripted(checks=in_turn(ZeroDivisionError("division by zero"))))
    assert (driven.outcome, driven.reason) == ("failed", "ZeroDivisionError: division by zero")


def test_steps_without_common_needs_run_side_by_side() -> None:
    both = threading.Barrier(2)
    meet = Scripted(checks=lambda _: (both.wait(5), ())[1])
    result, _ = run(PlannedStep("a", meet), PlannedStep("b", meet))
    assert result.outcome == "ready"


def test_a_step_starts_after_what_it_needs() -> None:
    order: list[str] = []

    def note(name: str) -> Scripted:
        return Scripted(checks=lambda _: order.append(name) or ())

    result, _ = run(
        PlannedStep("last", note("last"), needs=("left", "right")),
        PlannedStep("left", note("left"), needs=("first",)),
        PlannedStep("right", note("right"), needs=("first",)),
        PlannedStep("first", note("first")),
    )
    assert result.outcome == "ready"
    assert order[0] == "first"
    assert order[-1] == "last"


def test_when_a_step_fails_the_others_finish_and_its_dependents_are_skipped() -> None:
    finished = threading.Event()
    slow = Scripted(checks=lambda _: time.sleep(0.3) or finished.set() or ())
    result, _ = run(
        PlannedStep("bad", fails("broken")),
        PlannedStep("child", Scripted(), needs=("bad",)),
        PlannedStep("grandchild", Scripted(), needs=("child",)),
        PlannedStep("slow", slow),
        PlannedStep("after-slow", Scripted(), needs=("slow",)),
    )
    assert result.outcome == "failed"
    assert outcomes(result) == {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "slow": "unchanged",
        "after-slow": "unchanged",
    }
    reasons = {step.step: step.reason for step in result.steps}
    assert reasons["child"] == reasons["grandchild"] == "needs bad, which failed"
    assert result.reason == "bad: broken"


def test_a_step_behind_several_that_are_skipped_is_skipped_once() -> None:
    steps = [PlannedStep("top-0", fails())]
    for n in range(12):
        sides = [PlannedStep(f"{side}-{n}", Scripted(), needs=(f"top-{n}",)) for side in ("left", "right")]
        steps += [*sides, PlannedStep(f"top-{n + 1}", Scripted(), needs=(f"left-{n}", f"right-{n}"))]
    result, events = run(*steps)
    assert result.outcome == "failed"
    finished = [event.step for event in events if isinstance(event, StepFinished)]
    assert sorted(finished) == sorted(step.id for step in steps)


def test_a_step_left_out_by_when_counts_as_met() -> None:
    result, _ = run(
        PlannedStep("out", fails(), enabled=False),
        PlannedStep("next", Scripted(), needs=("out",)),
        PlannedStep("x", Scripted()),
    )
    assert outcomes(result) == {"out": "skipped", "next": "unchanged", "x": "unchanged"}
    assert result.steps[0].reason == PASSED_OVER
    assert result.outcome == "ready"


@pytest.mark.parametrize("disabled", [1, 2, 5])
def test_no_step_is_started_twice_behind_steps_that_are_left_out(disabled: int) -> None:
    out = [
        PlannedStep(f"out-{number}", fails(), needs=(f"out-{number - 1}",) if number else (), enabled=False)
        for number in range(disabled)
    ]
    checked: list[str] = []
    once = Scripted(checks=lambda context: checked.append(context.step_id) or ())
    behind = [PlannedStep(f"b{number}", once, needs=(f"out-{disabled - 1}",)) for number in range(3)]
    result, events = run(*out, *behind, PlannedStep("last", once, needs=("b0", "b1", "b2")))
    assert sorted(checked) == ["b0", "b1", "b2", "last"]
    assert sum(isinstance(event, StepStarted) for event in events) == 4
    assert sum(isinstance(event, StepFinished) for event in events) == disabled + 4
    assert result.outcome == "ready"


def test_a_failure_that_is_tolerated_counts_as_met_and_is_named() -> None:
    result, _ = run(
        PlannedStep("bad", fails(), on_failure="continue"), PlannedStep("next", Scripted(), needs=("bad",))
    )
    assert result.outcome == "ready"
    assert result.steps[0].tolerated
    assert outcomes(result)["next"] == "unchanged"


def test_the_runs_timeout_ends_what_runs_and_what_would_follow() -> None:
    result, _ = run(
        PlannedStep("slow", Scripted(checks=in_turn(NotYet("starting up")))),
        PlannedStep("next", Scripted(), needs=("slow",)),
        timeout=0.3,
    )
    assert result.outcome == "failed"
    assert outcomes(result) == {"slow": "failed", "next": "skipped"}
    assert result.steps[0].reason == "the time (300ms) is up: starting up"


def test_nothing_quick_is_done_after_the_runs_time_is_up() -> None:
    checked: list[str] = []
    quick = Scripted(checks=lambda context: checked.append(context.step_id) or ())
    result, _ = run(
        PlannedStep("slow", Scripted(checks=in_turn(NotYet("starting up"))), on_failure="continue"),
        *[PlannedStep(f"s{n}", quick, needs=(f"s{n - 1}" if n else "slow",)) for n in range(5)],
        timeout=0.1,
    )
    assert result.outcome == "failed"
    assert result.steps[1].reason == "the time (100ms) is up"
    assert not checked


def test_cancelling_stops_everything() -> None:
    began = threading.Event()

    def wait(context: StepContext) -> Any:
        began.set()
        while True:
            context.check_cancelled()
            time.sleep(0.01)

    plan = CheckedPlan(
        "test",
        (PlannedStep("running", Scripted(checks=wait)), PlannedStep("next", Scripted(), needs=("running",))),
        "0" * 64,
    )
    runner = Runner(plan, Stream([]), SPAN)
    threading.Thread(target=lambda: began.wait(5) and runner.cancel("SIGTERM")).start()
    result = runner.run()
    assert (result.outcome, result.reason) == ("cancelled", "SIGTERM")
    assert outcomes(result) == {"running": "cancelled", "next": "cancelled"}
    assert not result.stuck


def test_cancelled_before_it_begins() -> None:
    plan = CheckedPlan("test", (PlannedStep("a", fails()), PlannedStep("b", fails(), needs=("a",))), "0" * 64)
    runner = Runner(plan, Stream([]), SPAN)
    runner.cancel("SIGTERM")
    result = runner.run()
    assert (result.outcome, result.reason) == ("cancelled", "SIGTERM")
    assert outcomes(result) == {"a": "cancelled", "b": "cancelled"}


def test_a_step_that_follows_another_has_its_own_time() -> None:
    at = time.monotonic()
    result, _ = run(
        PlannedStep("first", Scripted(checks=lambda _: time.sleep(0.05) or ()), timeout=60),
        PlannedStep("next", Scripted(checks=in_turn(NotYet("no"))), needs=("first",), timeout=0.1),
    )
    assert result.steps[1].reason == "its time (100ms) is up: no"
    assert time.monotonic() - at < PROMPTLY


def test_a_watcher_that_breaks_ends_the_run() -> None:
    class Broken(Collected):
        def see(self, event: Event) -> None:
            if isinstance(event, StepFinished):
                raise OSError("no space left on device")

    plan = CheckedPlan(
        "test", (PlannedStep("a", Scripted()), PlannedStep("b", Scripted(), needs=("a",))), "0" * 64
    )
    with pytest.raises(OSError, match="no space left"):
        Runner(plan, Stream([Broken()]), SPAN).run()


def test_a_watcher_that_breaks_on_the_last_event_ends_the_run() -> None:
    class Broken(Collected):
        def see(self, event: Event) -> None:
            if isinstance(event, StepFinished) and event.step == "b":
                raise OSError("no space left on device")

    # The short timeout wakes the main thread just before the error does.
    steps = (PlannedStep("a", Scripted()), PlannedStep("b", Scripted(), needs=("a",), timeout=0.5))
    with pytest.raises(OSError, match="no space left"):
        Runner(CheckedPlan("test", steps, "0" * 64), Stream([Broken()]), SPAN).run()


def test_nothing_starts_after_the_run_has_raised() -> None:
    release, began, late = threading.Event(), threading.Event(), threading.Event()

    class Broken(Collected):
        def see(self, event: Event) -> None:
            super().see(event)
            if isinstance(event, StepFinished) and event.step == "a":
                raise OSError("no space left on device")

    watcher = Broken()
    steps = (
        PlannedStep("a", Scripted(checks=lambda _: began.wait(5) and ())),
        PlannedStep("b", Scripted(checks=lambda _: began.set() or (release.wait(20) and ()))),
        PlannedStep("c", Scripted(checks=lambda _: late.set() or ()), needs=("b",)),
    )
    with pytest.raises(OSError, match="no space left"):
        Runner(CheckedPlan("test", steps, "0" * 64), Stream([watcher]), SPAN).run()
    release.set()
    until(lambda: any(isinstance(event, StepFinished) and event.step == "b" for event in watcher.events))
    assert not late.wait(0.2)


def test_a_check_whose_time_is_up_just_after_a_cancel_still_gets_its_grace() -> None:
    began, ended = threading.Event(), threading.Event()
    deadlines: list[float] = []

    def slow_to_stop(context: StepContext) -> Any:
        deadlines.append(time.monotonic() + context.remaining(60))
        began.set()
        told = threading.Event()
        with context.on_cancel(told.set):
            assert told.wait(10)
        while time.monotonic() < deadlines[0] + 0.05:
            time.sleep(0.01)
        ended.set()
        context.check_cancelled()

    plan = CheckedPlan("test", (PlannedStep("a", Scripted(checks=slow_to_stop), timeout=0.3),), "0" * 64)
    runner = Runner(plan, Stream([]), SPAN)

    def cancel_shortly_before() -> None:
        assert began.wait(5)
        time.sleep(max(0.0, deadlines[0] - 0.05 - time.monotonic()))
        runner.cancel("SIGTERM")

    threading.Thread(target=cancel_shortly_before).start()
    assert runner.run().outcome == "cancelled"
    assert ended.is_set()


def test_a_check_that_does_not_listen_is_not_waited_for_when_the_run_is_cancelled() -> None:
    began, release = threading.Event(), threading.Event()
    step = Scripted(checks=lambda _: began.set() or (release.wait(20) and ()))
    runner = Runner(CheckedPlan("test", (PlannedStep("deaf", step),), "0" * 64), Stream([]), SPAN)
    threading.Thread(target=lambda: began.wait(5) and runner.cancel("SIGTERM")).start()
    at = time.monotonic()
    result = runner.run()
    release.set()
    assert result.outcome == "cancelled"
    assert time.monotonic() - at < PROMPTLY


def test_code_that_does_not_stop_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.runner.run.GRACE", 0.3)
    release = threading.Event()
    deaf = Scripted(checks=in_turn(missing()), applies=lambda _: release.wait(20))
    result, _ = run(PlannedStep("deaf", deaf, timeout=0.2), PlannedStep("next", Scripted(), needs=("deaf",)))
    release.set()
    assert result.stuck
    assert result.outcome == "failed"
    assert "its code did not stop within" in result.steps[0].reason


def test_waiting_says_why_when_the_reason_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.runner.retry.REPORT_INTERVAL", 0.4)
    driven = drive(Scripted(checks=in_turn(*[NotYet("starting up")] * 6, ())))
    said = [event for event in driven.events if isinstance(event, StepWaiting)]
    assert len(said) >= 2
    assert said[-1].elapsed >= 0.4


def test_wait_applies_nothing_and_tries_on_what_may_come() -> None:
    def never(_: StepContext) -> None:
        raise AssertionError("wait must not apply")

    step = Scripted(
        checks=in_turn(Rejected("no such role"), missing(), (Change("!", "table users missing"),), ()),
        applies=never,
    )
    driven = drive(step, wait=True)
    assert driven.outcome == "unchanged"
    assert driven.finished.attempts == 4


def test_wait_fails_at_once_where_waiting_would_not_help() -> None:
    assert drive(fails("two heads"), wait=True).finished.attempts == 1


def test_a_thousand_steps_in_a_row_and_side_by_side() -> None:
    chain = [PlannedStep(f"c{n}", Scripted(), needs=(f"c{n - 1}",) if n else ()) for n in range(1000)]
    wide = [PlannedStep(f"w{n}", Scripted()) for n in range(1000)]
    disabled = [
        PlannedStep(f"d{n}", Scripted(), needs=(f"d{n - 1}",) if n else (), enabled=False) for n in range(2000)
    ]
    result, events = run(*chain, *wide, *disabled)
    assert result.outcome == "ready"
    assert sum(isinstance(event, StepFinished) for event in events) == 4000


def test_more_waiting_steps_than_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.runner.run.MOST_THREADS", 4)
    flaky = [PlannedStep(f"s{n}", Scripted(checks=in_turn(NotYet("no"), ()))) for n in range(20)]
    assert run(*flaky)[0].outcome == "ready"


def test_a_step_that_waits_for_a_thread_comes_before_what_follows_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.runner.run.MOST_THREADS", 1)
    order: list[str] = []
    note = Scripted(checks=lambda context: order.append(context.step_id) or ())
    # The first one ends only when all have been started.
    started = threading.Event()

    class Started(Collected):
        def see(self, event: Event) -> None:
            if isinstance(event, StepStarted) and event.step == "other":
                started.set()

    first = Scripted(checks=lambda _: started.wait(20) and ())
    steps = (
        PlannedStep("first", first),
        PlannedStep("next", note, needs=("first",)),
        PlannedStep("last", note, needs=("next",)),
        PlannedStep("other", note),
    )
    Runner(CheckedPlan("test", steps, "0" * 64), Stream([Started()]), SPAN).run()
    assert order == ["other", "next", "last"]


def test_a_run_leaves_no_threads_and_nothing_of_a_step_that_has_ended() -> None:
    contexts: list[weakref.ref[StepContext]] = []
    alive: list[bool] = []

    def remember(context: StepContext) -> Any:
        alive.extend(each() is not None for each in contexts)
        contexts.append(weakref.ref(context))
        return ()

    chain = (PlannedStep(f"s{n}", Scripted(checks=remember), needs=(f"s{n - 1}",) if n else ()) for n in range(4))
    before = set(threading.enumerate())
    run(*chain, PlannedStep("beside", Scripted()))
    assert alive == [False] * 6
    until(lambda: not any(thread.name.startswith("inithold-") for thread in set(threading.enumerate()) - before))


@pytest.mark.parametrize("work", [converge, wait_for])
def test_interrupted_though_nobody_stopped_it_is_a_failure_and_never_ready(work: Work) -> None:
    first = PlannedStep("a", Scripted(checks=in_turn(Interrupted("by the test"))))
    result, _ = run(first, PlannedStep("b", Scripted(), needs=("a",)), work=work)
    assert result.outcome == "failed"
    assert [step.outcome for step in result.steps] == ["failed", "skipped"]
    assert result.steps[0].reason == "it was interrupted, and not by the run: by the test"


def test_wait_and_run_share_the_engine() -> None:
    result, _ = run(PlannedStep("a", Scripted()), work=wait_for)
    assert result.outcome == "ready"


def test_an_error_of_the_attempts_themselves_is_accounted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("no such delay")

    monkeypatch.setattr("inithold.runner.attempt.pause", broken)
    result, _ = run(PlannedStep("a", Scripted(checks=in_turn(NotYet("later")))))
    assert result.outcome == "failed"
    assert "no such delay" in result.reason


def test_a_check_that_does_not_listen_is_abandoned_when_its_time_is_up() -> None:
    release, ended = threading.Event(), threading.Event()

    def deaf(_: StepContext) -> Any:
        release.wait(20)
        ended.set()
        return missing("late")

    at = time.monotonic()
    result, events = run(
        PlannedStep("deaf", Scripted(checks=deaf), timeout=0.1, on_failure="continue"),
        PlannedStep("next", Scripted(), needs=("deaf",)),
    )
    assert time.monotonic() - at < PROMPTLY
    assert (result.outcome, result.stuck) == ("ready", False)
    assert outcomes(result) == {"deaf": "failed", "next": "unchanged"}
    assert result.steps[0].reason == "its time (100ms) is up: its check does not end"
    before = len(events)
    release.set()
    assert ended.wait(5)
    time.sleep(0.05)
    assert len(events) == before


def test_a_step_is_not_tried_again_beside_its_abandoned_check() -> None:
    release, began, ended = threading.Event(), threading.Event(), threading.Event()

    def deaf(_: StepContext) -> Any:
        began.set()
        release.wait(20)
        ended.set()
        return ()

    plan = CheckedPlan("test", (PlannedStep("deaf", Scripted(checks=deaf)),), "0" * 64)
    abandoned: set[str] = set()
    first = Runner(plan, Stream([]), SPAN, abandoned=abandoned)
    threading.Thread(target=lambda: began.wait(5) and first.cancel("the lock was lost")).start()
    assert first.run().outcome == "cancelled"
    second = Runner(plan, Stream([]), SPAN, abandoned=abandoned).run()
    assert outcomes(second) == {"deaf": "failed"}
    assert "still running" in second.steps[0].reason
    release.set()
    until(lambda: not abandoned)
    assert Runner(plan, Stream([]), SPAN, abandoned=abandoned).run().outcome == "ready"


def test_a_command_that_an_abandoned_check_has_started_is_killed(tmp_path: Path) -> None:
    guard = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done"
    step = Run(run=["true"], unless=["sh", "-c", guard])
    at = time.monotonic()
    result, _ = run(PlannedStep("guarded", step, timeout=0.5))
    assert time.monotonic() - at < PROMPTLY
    assert result.outcome == "failed"
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't start new thread"), BlockingIOError(11, "x")]
)
def test_a_limit_of_the_system_is_no_fault_of_the_kind(error: Exception) -> None:
    result, _ = run(PlannedStep("a", Scripted(checks=in_turn(error))))
    assert result.outcome == "failed"
    assert result.reason is not None
    assert "a limit is reached" in result.reason
    finished = result.steps[0]
    assert finished.hint is not None
    assert finished.hint.startswith("raise it: ")
