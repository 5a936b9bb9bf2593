"""The life of one step: check, apply, check again; retried where that may help."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import msgspec

from inithold.errors import Interrupted, NotYet, Rejected, StepFailed
from inithold.plan.model import PlannedStep
from inithold.process.exits import limit_reached
from inithold.runner.context import Context
from inithold.runner.events import (
    AttemptFailed,
    Phase,
    StepChecked,
    StepFinished,
    StepOutcome,
    StepWaiting,
    Timing,
)
from inithold.runner.retry import Waiting, may_try_again, pause
from inithold.runner.stream import Stream
from inithold.runner.worker import Worker
from inithold.steps.base import Change, Step

_LONGER = "if it only needs more time, give {} a longer timeout; otherwise find out why it never comes up"
_STILL_RUNNING = "if it only needs more time, give {} a longer timeout; otherwise find out what it is waiting for"
_MORE_ATTEMPTS = (
    "if it only needs more time, set a timeout and leave attempts out of retry; "
    "otherwise find out why it never comes up"
)
_FROM_ELSEWHERE = "something else sent its process a signal, or its own code did"
_MOMENT = 1.0
"""Seconds that the run gets to tell a step to stop which was interrupted before."""
_SEE_MORE = "fix what the message says; --log-level debug says more"
Work = Callable[["Attempts"], tuple[Change, ...]]
"""One attempt at a step; returns the changes made, and raises what `Step.check` and `Step.apply` raise."""


class Attempts:
    """All attempts at one step, and the time they take."""

    def __init__(self, planned: PlannedStep, context: Context, worker: Worker | None = None) -> None:
        self.planned = planned
        self._worker = worker
        self._code: Step | Worker = worker or planned.step
        self.context = context
        self.number = 0
        self.made: list[Change] = []
        self._seconds: dict[Phase, float] = {"waiting": 0.0, "checking": 0.0, "applying": 0.0}
        self._clock: tuple[Phase, float] | None = None
        self._waiting = Waiting()

    def finish(self, work: Work) -> StepFinished:
        """Repeat `work` until it succeeds or trying again would not help; an unexpected error is raised."""
        while True:
            self.number += 1
            try:
                changes = work(self)
            except Interrupted as stopped:
                return self._stopped(stopped)
            except NotYet as error:
                if not may_try_again(self.planned.retry, self.number, failure=False):
                    return self._failed(error)
                failure: NotYet = error
            except StepFailed as error:
                retry = self.planned.retry
                if not (self.planned.step.retries_failures and may_try_again(retry, self.number, failure=True)):
                    return self._failed(error)
                failure = NotYet(error.message, hint=error.hint)
            else:
                return self._end("changed" if changes else "unchanged", changes=changes)
            self.context.stream.emit(
                AttemptFailed(step=self.planned.id, attempt=self.number, error=failure.message)
            )
            self._waiting.last = failure
            try:
                with self._clocked("waiting"):
                    pause(
                        failure,
                        self.planned.retry,
                        self.number,
                        self.context.stop,
                        self._waiting,
                        self._say_waiting,
                    )
            except Interrupted as stopped:
                return self._stopped(stopped)
            self._renew()

    def abandoned(self, reason: str = "", hint: str | None = None) -> StepFinished:
        """The result of a step whose code was told to stop and is still running.

        Args:
            reason: why it was given up; empty: because it was told to stop.
        """
        running = self._clock is not None and self._clock[0] == "checking"
        if self._clock is not None:
            phase, began = self._clock
            self._seconds[phase] += time.monotonic() - began
        stop = self.context.stop
        if reason:
            changes = tuple(self.made)
            result = self._end("failed" if stop.failed else "cancelled", changes=changes, reason=reason, hint=hint)
        else:
            silent = running and self._waiting.last is None
            result = self._stopped(Interrupted("its check does not end" if silent else stop.reason))
        # The step is closed: drop whatever its code still emits.
        self.context.stream = Stream(())
        return result

    def check(self) -> Sequence[Change]:
        """Check once, and account for the time."""
        with self._clocked("checking"):
            changes = tuple(self._code.check(self.context))
        self.context.stream.emit(StepChecked(step=self.planned.id, changes=changes))
        return changes

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply once, and account for the time and the changes."""
        shared = self.context.connections
        with self._clocked("applying"), shared.changing() if shared else nullcontext():
            self._code.apply(self.context, changes)
        self.made.extend(change for change in changes if change not in self.made)

    def _renew(self) -> None:
        """Read secret files again: the rejected password may have been replaced."""
        step = self.planned.renew() if self.planned.renew is not None else None
        if step is not None:
            self.planned = msgspec.structs.replace(self.planned, step=step)
            if self._worker is None:
                self._code = step
            else:
                self._worker.renew(step)
            self.context.log("a secret file has changed: going on with its new content")

    @contextmanager
    def _clocked(self, phase: Phase) -> Iterator[None]:
        self.context.check_cancelled()
        self.context.enter(phase, self.number)
        began = time.monotonic()
        self._clock = (phase, began)
        try:
            yield
        finally:
            self._clock = None
            self._seconds[phase] += time.monotonic() - began

    def _say_waiting(self, error: NotYet, elapsed: float) -> None:
        self.context.idle()
        hint = error.hint if elapsed >= 5.0 else None
        step, number = self.planned.id, self.number
        self.context.stream.emit(
            StepWaiting(step=step, reason=error.message, attempt=number, elapsed=elapsed, hint=hint)
        )

    def _stopped(self, stopped: Interrupted) -> StepFinished:
        stop = self.context.stop
        # A signal to all processes may reach a worker before it reaches the run.
        if not stop.wait(_MOMENT):
            message = f"it was interrupted, and not by the run: {stopped.message}"
            return self._failed(StepFailed(message, hint=_FROM_ELSEWHERE))
        if not stop.failed:
            return self._end("cancelled", reason=stop.reason)
        last = self._waiting.last
        # The interrupted work may say more than why it was stopped, such as a command's last output.
        running = stopped.message != stop.reason
        error = stopped.message if running else last.message if last else ""
        hint = last.hint if last and not running else None
        text = _LONGER if self.planned.step.waits else _STILL_RUNNING
        return self._end(
            "failed",
            reason=f"{stop.reason}{f': {error}' if error else ''}",
            hint=hint or text.format("the whole run" if stop.of_run else "the step"),
            exception="TimeoutError",
        )

    def _failed(self, error: NotYet | StepFailed) -> StepFinished:
        exception = error.exception or type(error.__cause__ or error).__name__
        hint = error.hint or (_MORE_ATTEMPTS if isinstance(error, NotYet) else _SEE_MORE)
        return self._end("failed", reason=error.message, hint=hint, exception=exception)

    def broken(self, error: BaseException) -> StepFinished:
        """The result of a step whose attempts ended with an unexpected exception."""
        import traceback  # noqa: PLC0415 - slow to import, and hardly ever needed

        self.context.log("".join(traceback.format_exception(error)), level="debug")
        limit = limit_reached(error)
        return self._end(
            "failed",
            reason=limit.message if limit else f"{type(error).__name__}: {error}",
            hint=limit.hint
            if limit
            else "this is a fault of the step kind, not of the environment; --log-level debug shows where",
            exception=type(error).__name__,
        )

    def _end(
        self,
        outcome: StepOutcome,
        *,
        changes: tuple[Change, ...] = (),
        reason: str = "",
        hint: str | None = None,
        exception: str = "",
    ) -> StepFinished:
        if outcome == "failed":
            self.context.stream.emit(AttemptFailed(step=self.planned.id, attempt=self.number, error=reason))
        return StepFinished(
            step=self.planned.id,
            outcome=outcome,
            attempts=self.number,
            probes=self._waiting.probes,
            changes=changes,
            timing=Timing(**self._seconds),
            reason=reason,
            hint=hint,
            exception=exception,
            tolerated=outcome == "failed" and self.planned.on_failure == "continue",
        )


def converge(attempts: Attempts) -> tuple[Change, ...]:
    """`Work` of `inithold run`: check, apply what is missing, and check again."""
    step = attempts.planned.step
    needed = attempts.check()
    if not needed:
        return tuple(attempts.made)
    if unmet := [change for change in needed if change.op == "!"]:
        message = listed(unmet)
        if step.waits:
            raise NotYet(message)
        if step.looks_only:
            raise StepFailed(message, hint="this kind only checks: an earlier step has to create that")
        raise StepFailed(message, hint="the step does not say how to change that: let it, or change it by hand")
    attempts.apply(needed)
    if all(change.op == "?" for change in needed):
        return tuple(attempts.made)
    left = [change for change in attempts.check() if change.op != "?"]
    if left:
        details = "".join(f"\n  {line}" for change in left for line in change.details)
        raise StepFailed(
            f"applied, and still not in place: {listed(left)}{details}",
            hint="something undoes it, or apply reached a different server or database than the check",
        )
    return tuple(attempts.made)


def wait_for(attempts: Attempts) -> tuple[Change, ...]:
    """`Work` of `inithold wait`: check until nothing is missing; never apply."""
    try:
        left = [change for change in attempts.check() if change.op != "?"]
    except Rejected as error:
        raise NotYet(error.message, hint=error.hint) from error
    if left:
        raise NotYet(listed(left))
    return ()


def listed(changes: Sequence[Change]) -> str:
    """Changes in one line, as a failure's reason shows them."""
    shown = ", ".join(change.what if change.op == "!" else str(change) for change in changes[:10])
    more = len(changes) - 10
    return f"{shown} and {more} more" if more > 0 else shown
