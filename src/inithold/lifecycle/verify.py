"""A verifying hold's orders, and its check: checks every step, changes nothing, and reports what is new.

The hold starts each check as a child: the run's own command line, with `INITHOLD_HOLD_CHECK` set. The child's exit
code is its whole answer. The variable also has what `inithold run` read from the command line, so that a check
need not import the command-line framework.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Timer
from typing import NamedTuple, NoReturn

import msgspec

from inithold.errors import Ahead, DocumentError, NotYet, PlanError, StepFailed, UsageError
from inithold.hold.holder import Orders
from inithold.hold.verifier import ASKED, CHECK_VARIABLE, DRIFT, HOLDS, INCONCLUSIVE
from inithold.lifecycle.settings import Settings
from inithold.marker import file as marker_file
from inithold.plan.command import Named
from inithold.plan.convert import duration_hook
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.plan.order import in_order, without_others
from inithold.process import streams
from inithold.process.exits import reported
from inithold.process.signals import EndingSignals
from inithold.record import files as record_file
from inithold.record.model import Verification, load_record
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import sanitize
from inithold.runner.attempt import Attempts, listed
from inithold.runner.events import Level, LogLine, Verified
from inithold.runner.run import one_pass
from inithold.runner.stream import Stream, Watcher
from inithold.steps.base import Change
from inithold.text.duration import short, spoken
from inithold.watchers import telemetry
from inithold.watchers.console import console

CHECK_TIMEOUT = 30.0
"""Most seconds for one step's check; the grace for an unreachable server is added."""
SLACK, LONGEST = 5.0, 300.0
"""Seconds added to the sum of the steps' limits, and the upper bound of a whole check."""
SEND_SECONDS = 3.0
"""Seconds that telemetry may delay the end of a check."""


class CheckResult(NamedTuple):
    """The result of a check."""

    holds: bool | None
    """Whether everything is in place; None if the check cannot tell."""
    seen: tuple[str, ...] = ()
    """Findings that last: what is not in place, what was left alone."""
    passing: tuple[str, ...] = ()
    """Findings to report once."""


class CheckOrders(msgspec.Struct, frozen=True):
    """What a check gets from the run, as JSON in `CHECK_VARIABLE`.

    Args:
        fingerprint: of the plan that was run.
        settings: the run's.
        named: the plan as the command line names it; None if only the program itself can make it.
    """

    fingerprint: str
    settings: Settings
    named: Named | None

    @classmethod
    def given(cls) -> CheckOrders:
        """The orders of this process."""
        return msgspec.json.decode(os.environ[CHECK_VARIABLE], type=cls, dec_hook=duration_hook)


def orders(plan: CheckedPlan, pace: float, marker: str, settings: Settings, named: Named | None) -> Orders:
    """The holding process's orders.

    Args:
        pace: seconds between two checks; infinite for on demand only.
        settings, named: as for `CheckOrders`.

    Raises:
        UsageError: there is nothing to check.
    """
    if pace != math.inf and not _checked_steps(plan):
        raise UsageError(
            "a hold that verifies needs at least one step that can be checked, and there is none",
            hint="give the commands an unless or creates; with verify: never it runs again only on demand",
        )
    settings = msgspec.structs.replace(settings, verify=None)  # JSON has no infinity
    check = msgspec.json.encode(CheckOrders(plan.fingerprint(), settings, named)).decode()
    return Orders.of_this_process(pace, check_limit(plan), plan.hold.on_drift, marker, check)


def check_limit(plan: CheckedPlan) -> float:
    """Seconds after which a check is killed: the limits along the longest chain of needs, plus `SLACK`."""
    steps = {planned.id: planned for planned in _checked_steps(plan)}
    until: dict[str, float] = {}
    for step_id in in_order({step_id: planned.needs for step_id, planned in steps.items()}):
        before = max((until[need] for need in steps[step_id].needs), default=0.0)
        until[step_id] = before + (steps[step_id].timeout or 0.0)
    return min(max(until.values(), default=0.0) + SLACK, LONGEST)


def _checked_steps(plan: CheckedPlan) -> list[PlannedStep]:
    """The steps that can be checked, with the timeouts for a check."""
    grace = plan.hold.grace
    return [
        msgspec.structs.replace(
            planned, timeout=min(planned.timeout or CHECK_TIMEOUT, CHECK_TIMEOUT) + grace, retry=None
        )
        for planned in without_others(
            [planned for planned in plan.steps if planned.enabled and planned.step.verifiable]
        )
    ]


def why_again(why: str, record_path: str) -> str:
    """Why a hold runs its plan again, for people: the findings of its last check, from the record."""
    if why == ASKED:
        return "it was asked to (SIGHUP)"
    record = load_record(record_path)
    seen = record.verification.seen if record and record.verification else ()
    return "; ".join(seen) or "the environment is no longer in place"


def left_out(plan: CheckedPlan) -> str:
    """A line for people that names the steps without a check; empty if there are none."""
    ids = [planned.id for planned in plan.steps if planned.enabled and not planned.step.verifiable]
    return f"not verified, since they cannot be checked: {', '.join(ids)}" if ids else ""


def check_named() -> None:
    """In a check of `inithold run`: as `check_and_end`. Returns if only the command line has the plan."""
    check = CheckOrders.given()
    if check.named is not None:
        _check_and_end(check.named.load, check.settings, check.fingerprint)


def check_and_end(load: Callable[[], CheckedPlan], settings: Settings) -> NoReturn:
    """Check once whether everything is still in place, and exit with the answer.

    Exits instead of returning, because a Python plan's script would take the code for that of a failed run.
    """
    _check_and_end(load, settings, CheckOrders.given().fingerprint)


def _check_and_end(load: Callable[[], CheckedPlan], settings: Settings, expected: str) -> NoReturn:
    del os.environ[CHECK_VARIABLE]  # the plan's commands must not get it
    os._exit(streams.end(reported(lambda: _verify(load, settings, expected))))


def _verify(load: Callable[[], CheckedPlan], settings: Settings, expected: str) -> int:
    SECRETS.add_environment(os.environ)
    streams.expect_no_reader()
    marker = marker_file.path_from(settings.marker)
    with EndingSignals() as signals:
        name = ""
        try:
            plan = load()
        except (PlanError, DocumentError) as error:
            # The file may be being edited right now: no reason to withdraw the marker.
            lines = ("the plan is refused, and what was run is left as it is", *error.message.splitlines())
            result = CheckResult(None, tuple(map(sanitize, lines)))
        else:
            name = plan.name
            if plan.fingerprint() != expected:
                result = CheckResult(False, ("the plan has changed",))
            else:
                result = _check_steps(plan, settings, signals)
        if signals.caught:
            return signals.exit_code
        if result.holds and not marker_file.is_kept(marker):
            result = result._replace(holds=False, seen=(f"the marker {marker} is gone", *result.seen))
        if result.holds is False:
            # Withdraw before the slow telemetry, so that nobody trusts the marker meanwhile. On an error the
            # hold's own attempt fails, too, and ends it.
            with suppress(OSError):
                marker_file.withdraw(marker)
        # An error in reporting does not change the answer.
        reported(lambda: _report(result, name, settings, record_file.path_from(settings.record, marker)))
    return {True: HOLDS, False: DRIFT, None: INCONCLUSIVE}[result.holds]


def _check_steps(plan: CheckedPlan, settings: Settings, signals: EndingSignals) -> CheckResult:
    """Check each step once, allowing `plan.hold.grace` for unreachable servers to come back."""
    ahead: list[str] = []
    away: dict[str, tuple[float, str, Timer]] = {}
    returned: list[str] = []

    def check(attempts: Attempts) -> tuple[Change, ...]:
        step = attempts.planned.id
        try:
            needed = [change for change in attempts.check() if change.op != "?"]
        except NotYet as error:
            if step not in away:
                reason, stop = f"away for {short(plan.hold.grace)}", attempts.context.stop
                timer = Timer(plan.hold.grace, stop.set, [reason], {"failed": True})
                timer.daemon = True
                timer.start()
                away[step] = (time.monotonic(), error.message, timer)
            raise
        except Ahead as error:
            ahead.append(f"{step}: {error.message}; left alone")
            needed = []
        if step in away:
            since, reason, timer = away.pop(step)
            timer.cancel()
            returned.append(f"{step}: was away for {spoken(time.monotonic() - since)}: {reason}")
        if needed:
            raise StepFailed(listed(needed), hint=None)  # drift is no failure: the hold answers it
        return ()

    watchers: list[Watcher] = []
    if settings.log_level == "debug":
        watchers.append(console(settings.log_format, settings.log_level))
    runner = one_pass(plan, _checked_steps(plan), check, Stream(watchers))
    signals.tell(runner.cancel)
    failed = [step for step in runner.run().steps if step.outcome == "failed"]
    counted = [step for step in failed if not step.tolerated]
    # A check that timed out without an answer says nothing about the environment.
    drift = any(step.exception != "TimeoutError" or step.step in away for step in counted)
    tolerated = " (the plan goes on without it)"
    seen = [f"{step.step}: {step.reason}{tolerated if step.tolerated else ''}" for step in failed] + ahead
    return CheckResult(
        False if drift else None if counted else True, tuple(map(sanitize, seen)), tuple(map(sanitize, returned))
    )


def _report(result: CheckResult, name: str, settings: Settings, record_path: str) -> int:
    sender = telemetry.of_check(os.environ, level=settings.log_level, holder=os.getppid())
    people = console(settings.log_format, settings.log_level)
    stream = Stream([people, sender] if sender else [people])
    record = load_record(record_path)
    # Without a record, every finding is new.
    before = record and (record.verification or Verification(0, True, ()))
    known = before.seen if before else ()
    level: Level = "info" if result.holds else "warning"
    prefix = "no longer in place: " if result.holds is False else ""
    lines: list[tuple[Level, str]] = [("info", line) for line in result.passing]
    lines += [(level, f"{prefix}{line}") for line in result.seen if line not in known]
    if result.holds and before and before.holds is False:
        lines.append(("info", "everything is in place again"))
    for each, line in lines:
        stream.emit(LogLine(text=line, level=each))
    if record is not None and before and (result.holds, result.seen) != (before.holds, before.seen):
        as_before = result.holds is True and not result.seen
        record.verification = None if as_before else Verification(time.time(), result.holds, result.seen)
        try:
            marker_file.write_whole(record_path, msgspec.json.encode(record) + b"\n")
        except OSError as error:
            text = f"the record {record_path} cannot be written: {error.strerror}"
            stream.emit(LogLine(text=text, level="warning"))
    if sender is not None and result.holds is not None:
        stream.emit(Verified(name=name, holds=result.holds))
        if undelivered := sender.send(SEND_SECONDS):
            # The run has already said so, and the next check comes soon.
            stream.emit(LogLine(text=undelivered, level="debug"))
    stream.close()
    return 0
