"""The life of a run: claim the marker, load the plan, take the lock, run, publish the marker, flush, hold."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import msgspec

from inithold.errors import Cancelled, StepError, UsageError
from inithold.hold.holder import become_holder, become_verifier, block_signals, holder_name
from inithold.hold.reaper import REAPER
from inithold.hold.verifier import CHECK_VARIABLE, RERUN_VARIABLE
from inithold.lifecycle.last_words import leave
from inithold.lifecycle.marker import Claim, content
from inithold.lifecycle.settings import Settings
from inithold.marker import file as marker_file
from inithold.plan.model import CheckedPlan, Pace
from inithold.process import streams
from inithold.process.forked import end_forked, fork_ahead
from inithold.process.signals import EndingSignals
from inithold.record import files as record_file
from inithold.record.account import Account
from inithold.record.table import failure
from inithold.redaction.redact import SECRETS
from inithold.runner.events import (
    HoldStarted,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    PlannedStepInfo,
    RunFinished,
    RunStarted,
)
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream, Watcher
from inithold.runner.trace_context import run_span
from inithold.watchers import telemetry
from inithold.watchers.console import console
from inithold.watchers.console.summary import print_summary
from inithold.watchers.record import RecordWriter

if TYPE_CHECKING:
    from inithold.hold.holder import Orders
    from inithold.lifecycle.watchdog import Watchdog
    from inithold.plan.command import Named
    from inithold.runner.user_telemetry import UserTelemetry
    from inithold.steps.base import SessionLock

EXIT_FLUSH = 3.0
"""Seconds that telemetry may delay an exit."""
HOLD_FLUSH = 30.0
"""Seconds that telemetry may take during a hold, where it delays nothing."""
LAST_MOMENT = 1.0
"""Seconds to stay after a rerun, so that `inithold rerun` can read the outcome before the container stops."""


def run(
    load: Callable[[], CheckedPlan],
    settings: Settings,
    *,
    repair: str = "",
    owned: bool = True,
    named: Named | None = None,
) -> int:
    """Run a plan from start to hold.

    Args:
        load: loads the plan; called after the stale marker has been removed.
        settings: the run's options.
        repair: describes the part of the plan to run (`only topology`); a repair leaves marker and hold alone.
        owned: whether this process exists only for the run, so that it may be killed if the plan's code hangs.
        named: the plan as the command line names it, if that is all: a hold's checks then need not read it again.

    Returns:
        the exit code. Does not return from a hold, which replaces the process.

    Raises:
        UsageError: the marker or the record cannot be written, or another process holds or runs for this marker.
        PlanError: the plan is invalid.
    """
    if CHECK_VARIABLE in os.environ:
        from inithold.lifecycle.verify import check_and_end  # noqa: PLC0415 - only holds that verify

        check_and_end(load, settings)
    REAPER.split()
    streams.expect_no_reader()
    marker = marker_file.path_from(settings.marker)
    SECRETS.add_environment(os.environ)
    record = record_file.path_from(settings.record, marker)
    record = record_file.of_repairs(record) if repair else record
    if os.path.realpath(record) == os.path.realpath(marker):
        raise UsageError(
            f"marker and record are both {marker}", hint="name another file with --record or --marker"
        )
    try:
        if RERUN_VARIABLE not in os.environ:
            # A hold goes on, whatever has happened to its record.
            marker_file.refuse_foreign(record)
    except OSError as error:
        hint = "name a file with --record or INITHOLD_RECORD"
        raise UsageError(f"the record {record} cannot be written: {error.strerror}", hint=hint) from error
    claim = None if repair else Claim(marker)
    try:
        why = os.environ.pop(RERUN_VARIABLE, "")
        plan = load()
        if owned:
            # What is there now stays: a collection would only look through a long plan again.
            gc.freeze()
            _fork_worker(plan)
        return _Life(plan, marker, record, settings, claim, repair, why, owned, named).run()
    finally:
        if claim is not None:
            claim.release()


def _fork_worker(plan: CheckedPlan) -> None:
    """Fork the first worker before there are threads, with the libraries that it and the run both need.

    Only if inithold's own code alone has been imported: the user's belongs to one step.
    """
    enabled = [planned.step for planned in plan.steps if planned.enabled]
    first = next((step for step in enabled if step.in_worker), None)
    ours = all(type(planned.step).__module__.startswith("inithold.") for planned in plan.steps)
    if first is not None and ours and not plan.files:
        with suppress(Exception):  # the step will fail on it, too, and report it
            first.preload_for_both()
        fork_ahead("worker")


class _Life:
    def __init__(
        self,
        plan: CheckedPlan,
        marker: str,
        record: str,
        settings: Settings,
        claim: Claim | None,
        repair: str,
        why: str,
        owned: bool,
        named: Named | None,
    ) -> None:
        self._plan = plan
        self._marker = marker
        self._settings = settings
        self._claim = claim
        self._repair = repair
        self._owned = owned
        self._record_path = record
        self._again = ""
        self._orders: Orders | None = None
        self._not_verified = ""
        self._holds = not (settings.once or repair)
        pace = plan.hold.verify if settings.verify is None else settings.verify
        if why or (self._holds and pace is not None):
            from inithold.lifecycle import verify  # noqa: PLC0415 - only holds that verify

            if why:
                self._again = verify.why_again(why, self._record_path)
            if self._holds and pace is not None:
                self._orders = verify.orders(plan, pace, marker, settings, named)
                self._not_verified = verify.left_out(plan)
        self._account = Account()
        self._warnings: list[str] = []
        self._telemetry = telemetry.make(
            os.environ,
            self._warn,
            level=settings.log_level,
            log_format=settings.log_format,
            holder=REAPER.holding_pid,
        )
        drawn = None if any(planned.step.takes_terminal for planned in plan.steps) else self._account
        watchers: list[Watcher] = [
            self._account,
            RecordWriter(self._record_path, settings.keep, self._account, self._warn),
            console(settings.log_format, settings.log_level, account=drawn),
        ]
        self._stream = Stream([*watchers, self._telemetry] if self._telemetry else watchers)
        self._user_telemetry: UserTelemetry | None = None
        self._has_user_code = any(planned.enabled and planned.step.in_run for planned in plan.steps)
        if self._telemetry is not None and self._has_user_code:
            from inithold.runner.user_telemetry import UserTelemetry  # noqa: PLC0415 - few plans have such code

            self._user_telemetry = UserTelemetry(self._telemetry.signals, self._stream.emit, self._warn)
        self._span = run_span(os.environ)
        # A SIGHUP during a rerun is kept, and starts another run afterwards.
        self._signals = EndingSignals(self._signalled)
        self._signals.spares_hangup = bool(why)
        self._watchdog: Watchdog | None = None
        self._cancel: Callable[[str], None] | None = None
        """Cancels what runs now: the wait for the lock, or the steps."""
        self._caught: SimpleQueue[str] = SimpleQueue()
        self._lock_lost = False
        self._abandoned: set[str] = set()

    def run(self) -> int:
        began = time.monotonic()
        with self._signals:
            result = self._outcome()
            duration = time.monotonic() - began
            # Do everything that can fail before the outcome goes into the record.
            result, beside = self._write_marker(result, duration)
            self._stream.emit(
                RunFinished(outcome=result.outcome, duration=duration, reason=result.reason, hint=result.hint)
            )
            if beside is not None:
                if self._orders is not None:
                    # Once the marker is visible, `inithold rerun` may send SIGHUP.
                    self._signals.spares_hangup = True
                    REAPER.announce(self._orders)
                os.replace(beside, self._marker)  # noqa: PTH105 - the marker path is a str everywhere
                if self._claim is not None:
                    self._claim.release()
                self._stream.emit(MarkerPublished(path=self._marker))
            if (record := self._account.record) is not None:
                if self._settings.log_format != "json":
                    print_summary(record)
                if result.outcome == "failed":
                    leave(failure(msgspec.to_builtins(record)))
            holding = result.outcome == "ready" and self._holds
            self._flush(before_hold=holding)
            if holding:
                self._hold()
            if self._again:
                with suppress(Empty):
                    self._caught.get(timeout=LAST_MOMENT)
        self._stream.close()
        # Once ready was published, a signal during the flush ends the run as it would end a hold: exit 0.
        cancelled = result.outcome == "cancelled" and self._signals.caught
        return streams.end(0 if result.outcome == "ready" else self._signals.exit_code if cancelled else 1)

    def _outcome(self) -> RunResult:
        """Run the steps, and start over if the lock is lost."""
        steps = tuple(
            PlannedStepInfo(planned.id, planned.kind, planned.needs, planned.step.subject())
            for planned in self._plan.steps
        )
        while True:
            self._lock_lost = False
            self._stream.emit(
                RunStarted(
                    name=self._plan.name,
                    run_id=os.urandom(16).hex(),
                    digest=self._plan.digest,
                    span=self._span,
                    steps=steps,
                    reason=self._again,
                    repair=self._repair,
                )
            )
            if self._has_user_code:
                # Code that hangs may keep this thread from starting it later.
                self._start_sender()
            while self._warnings:
                self._warn(self._warnings.pop(0))
            try:
                with self._locked() as session_lock:
                    result = self._run_steps(session_lock)
            except Cancelled as cancelled:
                return RunResult("cancelled", (), cancelled.message)
            except StepError as error:
                if self._signals.caught:
                    return RunResult("cancelled", (), self._signals.caught.name)
                return RunResult("failed", (), f"lock: {error.message}", hint=error.hint)
            if not self._lock_lost or self._signals.caught:
                return result
            self._warn("the lock was lost: the run starts over")

    def _run_steps(self, session_lock: SessionLock | None) -> RunResult:
        if self._watchdog is None and self._has_user_code and self._owned and self._signals.catches:
            from inithold.lifecycle.watchdog import Watchdog  # noqa: PLC0415 - few plans have such code

            self._watchdog = Watchdog(self._record_path, self._settings.log_format)
        runner = Runner(
            self._plan,
            self._stream,
            self._span,
            signals=() if self._telemetry is None else self._telemetry.signals,
            tracing=self._user_telemetry,
            abandoned=self._abandoned,
            watchdog=self._watchdog,
            session_lock=session_lock,
            while_waiting=self._start_sender,
        )
        self._cancel = runner.cancel
        # A signal or a lost lock may have come before.
        self._stop_if_signalled()
        if self._lock_lost:
            runner.cancel("the lock was lost")
        try:
            return runner.run()
        finally:
            self._cancel = None
            end_forked()

    @contextmanager
    def _locked(self) -> Iterator[SessionLock | None]:
        """Hold the plan's lock; yields how to mark sessions."""
        if self._plan.lock is None:
            yield None
            return
        from inithold.runner.lock import Lock  # noqa: PLC0415 - few plans have one

        def say(reason: str, elapsed: float) -> None:
            self._stream.emit(LockWaiting(reason=reason, elapsed=elapsed))

        def on_lost() -> None:
            self._lock_lost = True
            if (cancel := self._cancel) is not None:
                cancel("the lock was lost")

        began = time.monotonic()
        lock = Lock(self._plan.lock, self._plan.name, say, self._start_sender)
        self._cancel = lock.cancel
        try:
            self._stop_if_signalled()
            lock.acquire()
            self._stop_if_signalled()
            self._stream.emit(LockAcquired(waited=time.monotonic() - began))
            lock.watch(on_lost=on_lost)
            yield lock.session_lock
        finally:
            lock.release()

    def _write_marker(self, result: RunResult, duration: float) -> tuple[RunResult, str | None]:
        """Write a ready run's marker to a temporary file next to its path; if that fails, so does the run."""
        if result.outcome != "ready" or self._repair:
            return result, None
        pace = None if self._orders is None else Pace(self._orders.pace)
        data = content(self._plan, result, duration, pace=pace, once=self._settings.once)
        try:
            return result, marker_file.write_beside(self._marker, data)
        except OSError as error:
            reason = f"the marker {self._marker} cannot be written: {error.strerror}"
            return RunResult("failed", result.steps, reason, hint="make room there, or name another place"), None

    def _start_sender(self) -> None:
        """Start the telemetry sender; not when the run starts, because that would delay quick steps."""
        if self._telemetry is not None:
            self._telemetry.start_sender()

    def _flush(self, *, before_hold: bool) -> None:
        """Hand all telemetry to the sender; before an exit, wait for it (at most `EXIT_FLUSH`)."""
        if self._telemetry is None:
            return
        began = time.monotonic()
        own_providers = self._user_telemetry.finish(EXIT_FLUSH) if self._user_telemetry else lambda: None
        bound = (HOLD_FLUSH if before_hold else EXIT_FLUSH) - (time.monotonic() - began)
        for line in (self._telemetry.finish(bound, retry=before_hold, wait=not before_hold), own_providers()):
            if line:
                self._warn(line)

    def _hold(self) -> None:
        """Become the holder; returns only if a signal came first."""
        if self._orders is None:
            self._stream.emit(HoldStarted(holder=holder_name()))
        else:
            # Say it once, not on every rerun during a long hold.
            if self._not_verified and not self._again:
                self._stream.emit(LogLine(text=self._not_verified))
            name = os.path.basename(sys.executable)  # noqa: PTH119
            self._stream.emit(HoldStarted(holder=name, verify=self._orders.pace))
        self._stream.close()
        streams.end(0)
        block_signals(*(() if self._orders is None else (signal.SIGHUP,)))
        if self._signals.caught:
            return
        REAPER.hand_over(asked=self._signals.spared)
        if self._orders is not None:
            become_verifier(self._orders, self._signals.noted)
        become_holder(self._signals.noted)

    def _signalled(self, name: str) -> None:
        # This handler interrupts the main thread anywhere, so it must not take locks.
        self._caught.put(name)
        if (cancel := self._cancel) is not None:
            cancel(name)

    def _stop_if_signalled(self) -> None:
        if self._signals.caught:
            raise Cancelled(self._signals.caught)

    def _warn(self, text: str) -> None:
        """Emit a warning, or keep it until the run has started."""
        if self._account.record is None:
            self._warnings.append(text)
        else:
            self._stream.emit(LogLine(text=text, level="warning"))
