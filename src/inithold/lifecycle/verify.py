"""The orders of a hold that verifies, and the check it makes: of every step, changing nothing, reporting news.

The hold starts this as a child, which is the very command line of the run with a variable that says so; what the
child exits with is all that the hold gets to know.
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
from inithold.hold.orders import Orders
from inithold.hold.verifier import ASKED, DRIFT, HOLDS, INCONCLUSIVE
from inithold.lifecycle import watchers as watching
from inithold.lifecycle.one_pass import one_pass
from inithold.lifecycle.settings import Settings
from inithold.marker import file as marker_file
from inithold.plan.fingerprint import fingerprint
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.plan.order import in_order, without_others
from inithold.process import streams
from inithold.process.exits import reported
from inithold.process.signals import EndingSignals
from inithold.record import files as record_file
from inithold.record.model import Record, Verification
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import sanitize
from inithold.runner.attempt import Attempts, listed
from inithold.runner.events import Level, LogLine, StepFinished, Verified
from inithold.runner.stream import Stream, Watcher
from inithold.steps.base import Change
from inithold.text.duration import short, spoken
from inithold.watchers.console import console

CHECK_TIMEOUT = 30.0
"""Seconds that a step's check may take at most; the grace for a server that is away is added."""
SLACK, LONGEST = 5.0, 300.0
"""Seconds that a whole check may take beyond its steps, and at most."""
SEND_SECONDS = 3.0
"""Seconds that telemetry may keep a check from ending."""
_CHANGED = "the plan has changed"


class CheckResult(NamedTuple):
    """The answer of a check.

    Attributes:
        holds: whether everything is in place; None where the check cannot tell.
        seen: what is not in place, and what else there is to report for as long as it is so.
        passing: what is worth a line once.
    """

    holds: bool | None
    seen: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()


def orders(plan: CheckedPlan, pace: float, marker: str) -> Orders:
    """What the process that holds has to know.

    Args:
        plan: that was run.
        pace: seconds between two checks; infinite for none but on demand.
        marker: its path.

    Raises:
        UsageError: there is nothing to check.
    """
    if pace != math.inf and not _verifiable(plan):
        raise UsageError(
            "a hold that verifies needs something that can be checked, and nothing here can",
            hint="give the commands an unless or creates; with verify: never it runs again only on demand",
        )
    return Orders.of_this_process(pace, check_limit(plan), plan.hold.on_drift, marker, fingerprint(plan))


def check_limit(plan: CheckedPlan) -> float:
    """Seconds after which a check is killed: its steps' along the longest chain of needs, and a little more."""
    steps = {planned.id: planned for planned in without_others(_verifiable(plan))}
    until: dict[str, float] = {}
    for step_id in in_order({step_id: planned.needs for step_id, planned in steps.items()}):
        planned = steps[step_id]
        before = max((until[need] for need in planned.needs), default=0.0)
        until[step_id] = before + _check_timeout(plan, planned)
    return min(max(until.values(), default=0.0) + SLACK, LONGEST)


def _check_timeout(plan: CheckedPlan, planned: PlannedStep) -> float:
    return min(planned.timeout or CHECK_TIMEOUT, CHECK_TIMEOUT) + plan.hold.grace


def why_again(why: str, record_path: str) -> str:
    """Why a hold runs its plan again, for people.

    Args:
        why: what the hold says.
        record_path: of the record, where its last check has noted what it saw.
    """
    if why == ASKED:
        return "it was asked to (SIGHUP)"
    record = _read(record_path)
    seen = record.verification.seen if record and record.verification else ()
    return "; ".join(seen) or "the environment is no longer in place"


def left_out(plan: CheckedPlan) -> str:
    """The steps that run and cannot be checked, in a line for people; empty where there are none."""
    ids = [planned.id for planned in plan.steps if planned.enabled and not planned.step.verifiable]
    return f"not verified, since they cannot be checked: {', '.join(ids)}" if ids else ""


def _verifiable(plan: CheckedPlan) -> list[PlannedStep]:
    return [planned for planned in plan.steps if planned.enabled and planned.step.verifiable]


def check_and_end(load: Callable[[], CheckedPlan], settings: Settings, expected: str) -> NoReturn:
    """Check once whether the environment still holds, and end the process with the answer.

    A plan in Python is part of a script, which would take what a check returns for the end of a failed run.

    Args:
        load, settings, expected: as `verify` takes them.
    """
    os._exit(streams.end(reported(lambda: verify(load, settings, expected))))


def verify(load: Callable[[], CheckedPlan], settings: Settings, expected: str) -> int:
    """Check once whether the environment still holds.

    Where it does not, the marker is withdrawn here already: nobody should trust it for as long as telemetry takes.

    Args:
        load: gives the plan.
        settings: those of the run.
        expected: fingerprint of the plan that was run.

    Returns:
        `HOLDS`, `DRIFT`, `INCONCLUSIVE` where it cannot be told; 128+N: a signal ended the check.
    """
    SECRETS.add_environment(os.environ)
    streams.expect_no_reader()
    marker = marker_file.path_from(settings.marker)
    with EndingSignals() as signals:
        result, name = _check_steps(load, settings, expected, signals)
        if signals.caught:
            return signals.exit_code
        if result.holds and not marker_file.is_kept(marker):
            result = CheckResult(False, (f"the marker {marker} is gone", *result.seen), result.passing)
        if result.holds is False:
            # Where it cannot be, the hold finds out, too, and ends.
            with suppress(OSError):
                marker_file.withdraw(marker)
        # What goes wrong in telling does not change the answer.
        reported(lambda: _report(result, name, settings, record_file.path_from(settings.record, marker)))
    if result.holds is None:
        return INCONCLUSIVE
    return HOLDS if result.holds else DRIFT


def _check_steps(
    load: Callable[[], CheckedPlan], settings: Settings, expected: str, signals: EndingSignals
) -> tuple[CheckResult, str]:
    try:
        plan = load()
    except (PlanError, DocumentError) as error:
        # A file that is just being edited is no reason to take down what holds.
        lines = ("the plan is refused, and what was run is left as it is", *error.message.splitlines())
        return CheckResult(None, tuple(map(sanitize, lines))), ""
    if fingerprint(plan) != expected:
        return CheckResult(False, (_CHANGED,)), plan.name
    watchers: list[Watcher] = []
    if settings.log_level == "debug":
        watchers.append(console(settings.log_format, settings.log_level))
    return _Check(plan, Stream(watchers)).run(signals), plan.name


class _Check:
    """Looks at each step of a plan once; waits, for a grace, for servers that are away."""

    def __init__(self, plan: CheckedPlan, stream: Stream) -> None:
        self._grace = plan.hold.grace
        self._stream = stream
        steps = [
            msgspec.structs.replace(planned, timeout=_check_timeout(plan, planned), retry=None)
            for planned in without_others(_verifiable(plan))
        ]
        self._plan = msgspec.structs.replace(plan, steps=tuple(steps))
        self._ahead: dict[str, str] = {}
        self._away: dict[str, tuple[float, str, Timer]] = {}
        self._returned: list[str] = []

    def run(self, signals: EndingSignals) -> CheckResult:
        """Check every step once."""
        runner = one_pass(self._plan, self._plan.steps, self._check_step, self._stream)
        signals.tell(runner.cancel)
        result = runner.run()
        failed = [step for step in result.steps if step.outcome == "failed"]
        # A check that reaches its limit without an answer says nothing about the environment; the next one may.
        unanswered = {step.step for step in failed if step.exception == "TimeoutError"} - self._away.keys()
        drift = any(not step.tolerated and step.step not in unanswered for step in failed)
        holds = False if drift else None if any(not step.tolerated for step in failed) else True
        seen = [*map(_failure_line, failed), *(f"{step}: {why}; left alone" for step, why in self._ahead.items())]
        return CheckResult(holds, tuple(map(sanitize, seen)), tuple(map(sanitize, self._returned)))

    def _check_step(self, attempts: Attempts) -> tuple[Change, ...]:
        try:
            needed = [change for change in attempts.check() if change.op != "?"]
        except NotYet as error:
            self._wait(attempts, error)
            raise
        except Ahead as error:
            self._ahead[attempts.planned.id] = error.message
            needed = []
        self._note_return(attempts.planned.id)
        if needed:
            raise StepFailed(listed(needed), hint=None)  # drift is no failure: the hold answers it
        return ()

    def _wait(self, attempts: Attempts, error: NotYet) -> None:
        if attempts.planned.id in self._away:
            return
        reason = f"away for {short(self._grace)}"
        timer = Timer(self._grace, lambda: attempts.context.stop.set(reason, failed=True))
        timer.daemon = True
        timer.start()
        self._away[attempts.planned.id] = (time.monotonic(), error.message, timer)

    def _note_return(self, step: str) -> None:
        if step in self._away:
            since, reason, timer = self._away.pop(step)
            timer.cancel()
            self._returned.append(f"{step}: was away for {spoken(time.monotonic() - since)}: {reason}")


def _failure_line(step: StepFinished) -> str:
    without = " (the plan goes on without it)" if step.tolerated else ""
    return f"{step.step}: {step.reason}{without}"


def _report(result: CheckResult, name: str, settings: Settings, record_path: str) -> int:
    watchers = [console(settings.log_format, settings.log_level)]
    # The run has warned of what is configured and cannot be used.
    telemetry = watching.telemetry(settings, warn=lambda _: None, holder=os.getppid())
    stream = Stream([*watchers, telemetry] if telemetry else watchers)
    record = _read(record_path)
    before = _before(record)
    for level, line in _lines(result, before):
        stream.emit(LogLine(text=line, level=level))
    if record is not None and (result.holds, result.seen) != before:
        _note(record, result, record_path, stream)
    if telemetry is not None and result.holds is not None:
        stream.emit(Verified(name=name, holds=result.holds))
        if undelivered := telemetry.finish(SEND_SECONDS, retry=False, wait=True):
            # The run has said it once; the next check comes soon.
            stream.emit(LogLine(text=undelivered, level="debug"))
    stream.close()
    return 0


def _before(record: Record | None) -> tuple[bool | None, tuple[str, ...]] | None:
    """What was known before this check; None where nothing can be."""
    if record is None:
        return None
    known = record.verification
    return (True, ()) if known is None else (known.holds, known.seen)


def _lines(result: CheckResult, before: tuple[bool | None, tuple[str, ...]] | None) -> list[tuple[Level, str]]:
    """What is worth a line: each thing when it is seen first, and that all is well again."""
    known = before[1] if before else ()
    lines: list[tuple[Level, str]] = [("info", line) for line in result.passing]
    level: Level = "warning" if result.holds is not True else "info"
    words = "no longer in place: " if result.holds is False else ""
    lines += [(level, f"{words}{line}") for line in result.seen if line not in known]
    if result.holds and before is not None and before[0] is False:
        lines.append(("info", "everything is in place again"))
    return lines


def _read(path: str) -> Record | None:
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - as the record's other readers
            return msgspec.json.decode(stream.read(), type=Record)
    except (OSError, msgspec.DecodeError):
        # A run warns where it cannot be written; without one, everything that is seen is news.
        return None


def _note(record: Record, result: CheckResult, path: str, stream: Stream) -> None:
    quiet = result.holds is True and not result.seen
    record.verification = None if quiet else Verification(time.time(), result.holds, result.seen)
    try:
        marker_file.write_whole(path, msgspec.json.encode(record) + b"\n")
    except OSError as error:
        stream.emit(LogLine(text=f"the record {path} cannot be written: {error.strerror}", level="warning"))
