"""What a running step sees of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event as Flag
from threading import Lock, Thread

from inithold.errors import Interrupted
from inithold.net.shared import SharedConnections
from inithold.runner.events import Level, LogLine, Phase, PhaseChanged, Span
from inithold.runner.stream import Stream, Tracing
from inithold.steps.base import SessionLock


class Stop:
    """A flag that also runs callbacks when it is set, to interrupt blocking calls."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._flag = Flag()
        self._actions: list[Callable[[], object]] = []
        self.reason = ""
        self.failed = False
        self.of_run = False
        self.set_at = 0.0

    def is_set(self) -> bool:
        return self._flag.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the flag; returns whether it is set."""
        return self._flag.wait(seconds)

    def set(self, reason: str, *, failed: bool = False, of_run: bool = False) -> None:
        """Set the flag and run the registered actions; further calls do nothing.

        Args:
            reason: why, for people.
            failed: whether the step has failed (it timed out) rather than the run been cancelled.
            of_run: whether it was the whole run that timed out.
        """
        with self._lock:
            if self._flag.is_set():
                return
            self.reason, self.failed, self.of_run, self.set_at = reason, failed, of_run, time.monotonic()
            self._flag.set()
            actions = list(self._actions)
        # An action, such as cancelling a statement on a server, may block; the scheduler, our caller, must not.
        for action in actions:
            Thread(target=action, daemon=True).start()

    @contextmanager
    def calling(self, action: Callable[[], object]) -> Iterator[None]:
        """Call `action` if the flag is set within the `with` block, or at once if it is already set."""
        with self._lock:
            self._actions.append(action)
            already = self._flag.is_set()
        if already:
            action()
        try:
            yield
        finally:
            with self._lock:
                self._actions.remove(action)


class Context:
    """The run as one step sees it (`inithold.steps.base.StepContext`).

    Args:
        deadline: on the monotonic clock; None for none.
        idle: called when the step begins to wait.
        tracing: makes user code's spans children of `span`.
        only_waits: whether nothing will be applied (`inithold wait`).
        connections: that the run's checks leave to one another.
        session_lock: marks sessions on servers; None without a plan's lock.
    """

    def __init__(
        self,
        step_id: str,
        span: Span,
        stream: Stream,
        deadline: float | None,
        *,
        idle: Callable[[], None] = lambda: None,
        tracing: Tracing | None = None,
        only_waits: bool = False,
        connections: SharedConnections | None = None,
        session_lock: SessionLock | None = None,
    ) -> None:
        self.step_id = step_id
        self.span = span
        self.stream = stream
        self.deadline = deadline
        self.stop = Stop()
        self.idle = idle
        self.only_waits = only_waits
        self.connections = connections
        self.session_lock = session_lock
        self.phase: Phase = "checking"
        self._tracing = tracing

    @property
    def environ(self) -> Mapping[str, str]:
        return {**os.environ, "TRACEPARENT": self.span.traceparent()}

    def log(self, text: str, *, level: Level = "info") -> None:
        for line in text.splitlines() or [""]:
            self.stream.emit(LogLine(text=line, step=self.step_id, level=level))

    def remaining(self, most: float) -> float:
        if self.deadline is None:
            return most
        return max(0.01, min(most, self.deadline - time.monotonic()))

    def check_cancelled(self) -> None:
        if self.stop.is_set():
            raise Interrupted(self.stop.reason)

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        return self.stop.calling(action)

    def user_code(self) -> AbstractContextManager[object]:
        return self._tracing.scope(self.span) if self._tracing else nullcontext()

    def enter(self, phase: Phase, attempt: int) -> None:
        """Enter a phase, and tell the stream."""
        self.phase = phase
        self.stream.emit(PhaseChanged(step=self.step_id, phase=phase, attempt=attempt))
