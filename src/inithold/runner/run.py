"""The scheduler: starts each step when its needs are met, and reports an outcome for every step."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple, Protocol

import msgspec

from inithold.net.shared import IDLE, SharedConnections
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.process.signals import kill_running
from inithold.runner.attempt import Attempts, Work, converge, wait_for
from inithold.runner.context import Context
from inithold.runner.events import (
    PASSED_OVER,
    LogLine,
    RunOutcome,
    Span,
    StepFinished,
    StepOutcome,
    StepStarted,
    TelemetrySignal,
)
from inithold.runner.stream import Stream, Tracing
from inithold.runner.worker import Worker
from inithold.steps.base import SessionLock
from inithold.text.duration import short

GRACE = 5.0
"""Seconds that `apply` gets to stop once told to; after that, the run ends without it."""
CHECK_GRACE = 0.25
"""The same for a check, which is then abandoned: it changes nothing, so it is safe to leave behind."""
MOST_THREADS = 256
"""Further steps wait for a free one."""
_SIGNAL_POLL = 1.0
"""Longest block in seconds: the kernel may deliver a signal to a thread that does not wake the main thread."""
_UNSTOPPABLE = "make what the step runs end on SIGTERM, or bound its own operations in time"


class Watchdog(Protocol):
    """Enforces from another process the limits of steps whose code runs in this one."""

    def begin(self, step_id: str, until: float | None, reason: str) -> None:
        """A step begins.

        Args:
            until: its deadline on the monotonic clock.
            reason: the message if it is killed at the deadline.
        """

    def over(self, step_id: str) -> None:
        """The step has ended, or was abandoned."""


class RunResult(NamedTuple):
    """How a run ended.

    Attributes:
        outcome: ready, failed or cancelled.
        steps: the steps' results, in plan order.
        reason: why the run is not ready.
        stuck: whether a step's code is still running although it was told to stop.
        hint: what to do next, if no step's hint says it.
    """

    outcome: RunOutcome
    steps: tuple[StepFinished, ...]
    reason: str = ""
    stuck: bool = False
    hint: str | None = None


class _Threads:
    """A pool that grows only when no thread is idle.

    They are daemons, so that code that does not stop cannot keep the process alive.

    Args:
        work: what a thread does with the steps it is given; must not raise.
    """

    def __init__(self, work: Callable[[Attempts], None]) -> None:
        self._do = work
        self._tasks: SimpleQueue[list[Attempts]] = SimpleQueue()
        """Lists of one, emptied by the thread, so that it keeps nothing of a step; an empty one ends a thread."""
        self._lock = Lock()
        self._idle = 0
        self._threads = 0

    def start(self, task: Attempts) -> None:
        """Do the work in a thread."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < MOST_THREADS:
                self._threads += 1
                Thread(target=self._work, daemon=True, name=f"inithold-{self._threads}").start()
        self._tasks.put([task])

    def all_busy(self) -> bool:
        """Whether a task waits for a free thread."""
        return not self._tasks.empty()

    def close(self) -> None:
        """End each thread once it is idle."""
        for _ in range(self._threads):
            self._tasks.put([])

    def _work(self) -> None:
        while task := self._tasks.get():
            self._do(task.pop())
            with self._lock:
                self._idle += 1


class Runner:
    """One run of a plan, or one pass of another kind of work over its steps.

    Args:
        work: what to do with each step: `converge` for `run`, `wait_for` for `wait`.
        signals: the OpenTelemetry signals to export from user code in workers.
        tracing: makes spans of user code in this process children of the step's span.
        abandoned: ids of steps whose abandoned check is still alive. All runs of a plan in this process share
            one set, so that no step runs beside its own leftover.
        watchdog: enforces the limits of code in this process.
        session_lock: see `Context`.
        while_waiting: called by the main thread about once a second while steps run; must not block.
    """

    def __init__(
        self,
        plan: CheckedPlan,
        stream: Stream,
        span: Span,
        *,
        work: Work = converge,
        signals: Collection[TelemetrySignal] = (),
        tracing: Tracing | None = None,
        abandoned: set[str] | None = None,
        watchdog: Watchdog | None = None,
        session_lock: SessionLock | None = None,
        while_waiting: Callable[[], object] = lambda: None,
    ) -> None:
        self._plan = plan
        self._stream = stream
        self._span = span
        self._work = work
        self._tracing = tracing
        self._watchdog = watchdog
        self._session_lock = session_lock
        self._while_waiting = while_waiting
        self._abandoned = set() if abandoned is None else abandoned
        self._inbox: SimpleQueue[BaseException | None] = SimpleQueue()
        """What wakes the main thread: an unexpected error, or None for another look at what runs."""
        self._threads = _Threads(self._work_from)
        self._deciding = Lock()
        """Held by the thread that decides what follows: the main one, or that of a step that has just ended."""
        self._started: deque[Attempts] = deque()
        """Steps that have no thread yet."""
        self._connections = SharedConnections()
        self._workers = {
            planned.id: Worker(planned.step, tuple(signals)) for planned in plan.steps if planned.step.in_worker
        }
        self._running: dict[str, Attempts] = {}
        self._finished: dict[str, StepFinished] = {}
        self._unmet = {planned.id: len(set(planned.needs)) for planned in plan.steps}
        self._dependents: dict[str, list[PlannedStep]] = {planned.id: [] for planned in plan.steps}
        for planned in plan.steps:
            for need in set(planned.needs):
                self._dependents[need].append(planned)
        self._deadlines: list[tuple[float, str]] = []
        self._looks_at = 0.0
        """When the main thread looks at the deadlines again."""
        self._ends_at: float | None = None
        self._cancelled = ""
        self._all_told = False
        self._stuck = False
        self._preloading = False

    def cancel(self, reason: str) -> None:
        """Start nothing new and interrupt running steps. Safe from signal handlers and any thread.

        Args:
            reason: for people: `SIGTERM`, `the lock was lost`.
        """
        self._cancelled = self._cancelled or reason
        self._inbox.put(None)

    def run(self) -> RunResult:
        """Run the plan to its end; a step's failure is in the result, not raised."""
        try:
            return self._to_its_end()
        finally:
            # If it raises, the steps' threads must start nothing more.
            self._cancelled = self._cancelled or "the run has ended"
            self._threads.close()

    # -- the loop

    def _to_its_end(self) -> RunResult:
        if self._plan.timeout is not None:
            self._ends_at = time.monotonic() + self._plan.timeout
        # Collect them first: skipping a disabled step changes `_unmet` and may start its dependents.
        for planned in [planned for planned in self._plan.steps if self._unmet[planned.id] == 0]:
            with self._deciding:
                if self._cancelled:
                    break
                if planned.enabled:
                    self._start(planned)
                else:
                    self._finish(StepFinished(step=planned.id, outcome="skipped", reason=PASSED_OVER))
                self._give_threads()
        while not self._over():
            self._wait()
            with self._deciding:
                if self._cancelled and not self._all_told:
                    self._cancel_all()
                self._end_late()
                self._give_threads()
            self._connections.close_idle(IDLE)
        with self._deciding:
            self._finish_rest()
        self._connections.close()
        for worker in self._workers.values():
            worker.close()
        if self._abandoned or self._stuck:
            # A command started by an abandoned check must not outlive the run.
            kill_running()
        return self._result()

    def _over(self) -> bool:
        with self._deciding:
            return not self._running or self._stuck

    def _wait(self) -> None:
        """Wait for the next deadline, at most `_SIGNAL_POLL` seconds, or until woken; raises unexpected errors."""
        with self._deciding:
            while self._deadlines and self._deadlines[0][1] not in self._running:
                heapq.heappop(self._deadlines)
            self._looks_at = time.monotonic() + _SIGNAL_POLL
            if self._deadlines:
                self._looks_at = min(self._looks_at, self._deadlines[0][0])
        try:
            if (error := self._inbox.get(timeout=max(0.0, self._looks_at - time.monotonic()))) is not None:
                raise error
        except Empty:
            self._while_waiting()

    def _end_late(self) -> None:
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            _, step_id = heapq.heappop(self._deadlines)
            if step_id in self._running:
                self._time_is_up(step_id)

    def _finish_rest(self) -> None:
        for planned in self._plan.steps:
            if (attempts := self._running.get(planned.id)) is not None:
                attempts.context.stop.set("another step's code did not stop")
                self._finish(attempts.abandoned())
            elif planned.id not in self._finished:
                reason = "cancelled before it began"
                self._finish(StepFinished(step=planned.id, outcome="cancelled", reason=reason))

    def _finish(self, first: StepFinished) -> None:
        # A queue, not recursion: a plan may have a thousand disabled steps in a row.
        queue = deque([first])
        ready: list[PlannedStep] = []
        while queue:
            # The result is also shown outside the stream, so scrub it here.
            finished = queue.popleft().scrubbed()
            if finished.step in self._finished:
                continue  # queued once for each of its needs that was not met
            if finished.step in self._running and self._watchdog is not None:
                self._watchdog.over(finished.step)
            self._finished[finished.step] = finished
            self._stream.emit(finished)
            for dependent in self._dependents[finished.step]:
                if dependent.id in self._finished:
                    continue
                if not finished.met:
                    queue.append(_skipped(dependent.id, finished))
                    continue
                self._unmet[dependent.id] -= 1
                if self._unmet[dependent.id] == 0 and dependent.enabled:
                    ready.append(dependent)
                elif self._unmet[dependent.id] == 0:
                    queue.append(StepFinished(step=dependent.id, outcome="skipped", reason=PASSED_OVER))
        if not (self._cancelled or self._stuck):
            for planned in ready:
                self._start(planned)
        # Last, so that the run is not over before the main thread gets the error of a watcher that raised above.
        self._running.pop(first.step, None)

    def _start(self, planned: PlannedStep) -> None:
        if planned.id in self._abandoned:
            reason = "its earlier check was told to stop and is still running"
            self._finish(StepFinished(step=planned.id, outcome="failed", reason=reason, hint=_UNSTOPPABLE))
            return
        own = None if planned.timeout is None else time.monotonic() + planned.timeout
        deadline = min((bound for bound in (own, self._ends_at) if bound is not None), default=None)
        span = self._span.child()
        context = Context(
            planned.id,
            span,
            self._stream,
            deadline,
            idle=self._idle,
            tracing=self._tracing,
            only_waits=self._work is wait_for,
            connections=self._connections,
            session_lock=self._session_lock,
        )
        attempts = Attempts(planned, context, self._workers.get(planned.id))
        self._running[planned.id] = attempts
        if deadline is not None:
            heapq.heappush(self._deadlines, (deadline, planned.id))
            if deadline < self._looks_at:
                self._inbox.put(None)
        self._stream.emit(StepStarted(step=planned.id, span=span))
        if self._watchdog is not None and planned.step.in_run:
            of_run = deadline is not None and deadline == self._ends_at
            self._watchdog.begin(planned.id, deadline, self._limit(planned, of_run))
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            # The main thread could come too late for a quick step.
            self._tell_to_stop(attempts, self._limit(planned, of_run=True), failed=True, of_run=True)
        self._started.append(attempts)

    # -- the steps' threads

    def _give_threads(self) -> None:
        while self._started:
            self._threads.start(self._started.popleft())

    def _work_from(self, attempts: Attempts | None) -> None:
        """Run a step, then one that needed it: handing each to another thread costs more than a quick check."""
        try:
            while attempts is not None:
                attempts = self._following(self._accounted(attempts))
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._inbox.put(error)

    def _following(self, finished: StepFinished) -> Attempts | None:
        with self._deciding:
            if finished.step in self._running:
                self._finish(finished)
            else:
                self._abandoned.discard(finished.step)
            if not self._running:
                self._inbox.put(None)
            # A step that has waited for a thread comes first: its time is running.
            following = self._started.popleft() if self._started and not self._threads.all_busy() else None
            self._give_threads()
        return following

    def _accounted(self, attempts: Attempts) -> StepFinished:
        try:
            return attempts.finish(self._work)
        except BaseException as error:  # noqa: BLE001 - the run would wait forever for a step without a result
            return attempts.broken(error)
        finally:
            if worker := self._workers.get(attempts.planned.id):
                worker.end()

    # -- time and cancelling

    def _time_is_up(self, step_id: str) -> None:
        attempts = self._running[step_id]
        if attempts.context.stop.is_set():
            self._give_up(attempts)
            return
        of_run = self._ends_at is not None and time.monotonic() >= self._ends_at
        self._tell_to_stop(attempts, self._limit(attempts.planned, of_run), failed=True, of_run=of_run)

    def _limit(self, planned: PlannedStep, of_run: bool) -> str:
        limit = self._plan.timeout if of_run else planned.timeout
        return f"{'the' if of_run else 'its'} time ({short(limit or 0.0)}) is up"

    def _cancel_all(self) -> None:
        self._all_told = True
        if self._running:
            self._stream.emit(LogLine(text=f"{self._cancelled}: starting nothing new, stopping what runs"))
        for attempts in self._running.values():
            self._tell_to_stop(attempts, self._cancelled)

    def _tell_to_stop(
        self, attempts: Attempts, reason: str, *, failed: bool = False, of_run: bool = False
    ) -> None:
        attempts.context.stop.set(reason, failed=failed, of_run=of_run)
        grace = GRACE if attempts.context.phase == "applying" else CHECK_GRACE
        heapq.heappush(self._deadlines, (time.monotonic() + grace, attempts.planned.id))

    def _give_up(self, attempts: Attempts) -> None:
        context, step_id = attempts.context, attempts.planned.id
        applying = context.phase == "applying"
        still = context.stop.set_at + (GRACE if applying else CHECK_GRACE)
        if time.monotonic() < still:
            # Its apply began just as it was told to stop, or its time was up soon after the run was cancelled.
            heapq.heappush(self._deadlines, (still, step_id))
            return
        if not applying:
            self._abandoned.add(step_id)
            self._finish(attempts.abandoned())
            return
        self._stuck = True
        reason = f"{context.stop.reason}, and its code did not stop within {GRACE:g} s: the run ends without it"
        self._finish(attempts.abandoned(reason, _UNSTOPPABLE))

    def _result(self) -> RunResult:
        steps = tuple(self._finished[planned.id] for planned in self._plan.steps)
        failed = [step for step in steps if step.outcome == "failed" and not step.tolerated]
        if self._cancelled:
            return RunResult("cancelled", steps, self._cancelled, self._stuck)
        if failed or self._stuck:
            reason = "; ".join(f"{step.step}: {step.reason}" for step in failed)
            return RunResult("failed", steps, reason, self._stuck)
        return RunResult("ready", steps)

    def _idle(self) -> None:
        """While a step waits, import once what later steps need."""
        # Not in `inithold wait`, which may wait for long: there it would only cost memory.
        if not self._preloading and self._work is not wait_for:
            self._preloading = True
            Thread(target=self._preload, daemon=True, name="inithold-preload").start()

    def _preload(self) -> None:
        for planned in self._plan.steps:
            if planned.enabled and planned.id not in self._finished:
                try:
                    (self._workers.get(planned.id) or planned.step).load()
                except Exception as error:  # noqa: BLE001 - the step will fail on it and report it
                    self._stream.emit(LogLine(text=f"preload: {error}", step=planned.id, level="debug"))


def one_pass(
    plan: CheckedPlan, steps: Iterable[PlannedStep], work: Work, stream: Stream, *, timeout: float | None = None
) -> Runner:
    """Make a runner for one pass over some steps: without the lock, in a trace of its own.

    Args:
        steps: the steps, with the timeouts for this pass.
        timeout: limit in seconds for the whole pass; None for no limit.
    """
    chosen = msgspec.structs.replace(plan, steps=tuple(steps), timeout=timeout, lock=None)
    return Runner(chosen, stream, Span.root(), work=work)


def _skipped(step: str, because: StepFinished) -> StepFinished:
    if because.outcome == "skipped":
        return StepFinished(step=step, outcome="skipped", reason=because.reason)
    verb = "failed" if because.outcome == "failed" else "was cancelled"
    outcome: StepOutcome = "skipped" if because.outcome == "failed" else "cancelled"
    return StepFinished(step=step, outcome=outcome, reason=f"needs {because.step}, which {verb}")
