"""The run's side of a worker: the process in which a step's `check` and `apply` run (`Step.in_worker`).

The process starts on first use and lives until the step is finished, because importing the user's code is most of
its cost. In a gate, which may wait for long and should take little memory, it ends after each answer instead. Told
to stop, the code there is interrupted. If it does not stop, a check, which changes nothing, is killed after
`CHECK_GRACE` seconds and an apply after `APPLY_GRACE`. The step ends only when the killed worker's statements on a
server have ended, too, so that the plan's lock is not released too early.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore, Event, Lock
from typing import Any, NamedTuple

import msgspec

from inithold.errors import Ahead, Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.process.forked import forked
from inithold.process.satellite import Death, Satellite, from_lasting_thread, launch
from inithold.process.signals import RUNNING
from inithold.redaction.redact import SECRETS
from inithold.runner.context import Context
from inithold.runner.events import FromUserCode, Level, TelemetrySignal
from inithold.steps.base import Change, Step

CHECK_GRACE = 0.2
"""Seconds that a check gets to stop before it is killed."""
APPLY_GRACE = 2.5
"""The same for an apply: its statement is cancelled at once, its code interrupted after a second."""
SERVER_GRACE = 2.0
"""Seconds that a server gets to confirm that a killed worker's statements have ended."""
ASK_AGAIN = 30.0
"""Seconds after which a gate asks the step's code again, even if the snapshot is the same."""
_PAUSE = 20.0
"""Without a snapshot, a gate's pauses between questions grow to this many times the length of an answer, so that
starting processes takes at most a twentieth of a core, and are at most `ASK_AGAIN` long."""
_CLOSING = 1.0
_GROUPS = Path("/sys/fs/cgroup")
_ERRORS: Mapping[str, type[StepError]] = {
    kind.__name__: kind for kind in (NotYet, StepFailed, Rejected, Ahead, Interrupted)
}
_STARTS = BoundedSemaphore(
    max(1, len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
)
"""Start at most one worker per core at a time: starting is importing, and importing is CPU-bound."""


class Worker:
    """The process of one step."""

    def __init__(self, step: Step, signals: Sequence[TelemetrySignal] = ()) -> None:
        self._step = step
        self._signals = signals
        self._lock = Lock()
        self._process: _Process | None = None
        self._closed = False
        self._has_applied = False
        self._answer: _Answer | None = None
        self._pause = 1.0

    def load(self) -> None:
        """Start the process and import the step's libraries in it, while the run is idle."""
        if (process := self._started(lambda: None)) is not None:
            process.satellite.send({"type": "load"})

    def check(self, context: Context) -> Sequence[Change]:
        """As `Step.check`."""
        changes = self._step.before_worker(context)
        # After an apply, let the step's own code explain what still differs.
        if changes is not None and not (changes and self._has_applied):
            return changes
        return self._in_gate(context) if context.only_waits else self._ask({"type": "check"}, context, CHECK_GRACE)

    def apply(self, context: Context, changes: Sequence[Change]) -> None:
        """As `Step.apply`."""
        self._has_applied = True
        self._ask({"type": "apply", "changes": msgspec.to_builtins(changes)}, context, APPLY_GRACE)

    def renew(self, step: Step) -> None:
        """Replace the step; a process that runs the old one is closed."""
        self._answer = None
        self._replace(step)

    def end(self) -> None:
        """Let the process end; do not wait for it."""
        with self._lock:
            self._closed = True
        if self._process is not None:
            self._process.end()

    def close(self) -> None:
        """End the process and wait for it, so that its connections are closed on return."""
        self.end()
        if self._process is not None:
            self._process.close()

    def _in_gate(self, context: Context) -> Sequence[Change]:
        """The last answer, as long as it most likely still holds; then ask again."""
        last = self._answer
        snapshot = self._step.snapshot(context, last.urls if last else ())
        changed = last is None or (snapshot is not None and snapshot != last.snapshot)
        if last is not None and not changed and time.monotonic() < last.until:
            if isinstance(last.result, StepError):
                # Without its probe: that the port answers says nothing new.
                raise NotYet(last.result.message, hint=last.result.hint)
            return last.result
        began = time.monotonic()
        result: Sequence[Change] | StepError
        try:
            result = self._ask({"type": "check"}, context, CHECK_GRACE)
        except (NotYet, Rejected) as error:
            result = error
        process = self._replace(self._step)
        now = time.monotonic()
        pause = ASK_AGAIN if snapshot is not None else min(self._pause * (now - began), ASK_AGAIN)
        self._pause = min(2 * self._pause, _PAUSE)
        self._answer = _Answer(result, snapshot, now + pause, process.urls if process else ())
        if isinstance(result, StepError):
            raise result
        return result

    def _replace(self, step: Step) -> _Process | None:
        """Close the process; the next one runs `step`."""
        with self._lock:
            process, self._process, self._step = self._process, None, step
        if process is not None:
            process.close()
        return process

    def _ask(self, request: Mapping[str, Any], context: Context, grace: float) -> Sequence[Change]:
        context.check_cancelled()
        process = self._started(context.check_cancelled)
        if process is None:
            raise Interrupted("closed")
        return process.ask(request, context, grace)

    def _started(self, may_wait: Callable[[], None]) -> _Process | None:
        with self._lock:
            if (self._process is None or self._process.has_ended) and not self._closed:
                while not _STARTS.acquire(timeout=0.05):
                    may_wait()
                self._process = _Process(self._step, self._signals)
            return self._process


class _Answer(NamedTuple):
    """The last answer of the step's code in a gate.

    Attributes:
        result: the changes still needed, or why there is no answer yet.
        snapshot: taken before it.
        until: when to ask again, on the monotonic clock, if the snapshot stays the same.
        urls: the databases that the code used.
    """

    result: Sequence[Change] | StepError
    snapshot: object
    until: float
    urls: Sequence[str]


class _Process:
    """A worker that has been started."""

    def __init__(self, step: Step, signals: Sequence[TelemetrySignal]) -> None:
        import pickle  # noqa: PLC0415 - a start with nothing to do needs no worker
        from base64 import b64encode  # noqa: PLC0415

        self.has_ended = False
        self._quiet_check = step.quiet_check
        self._answers: SimpleQueue[dict[str, Any] | Death] = SimpleQueue()
        self._context: Context | None = None
        self._before: list[tuple[str, Level]] = []
        self._sessions: list[dict[str, Any]] = []
        self._starting = True
        self._was_asked = False
        self._kills = _oom_kills()
        try:
            launched = forked("worker") or from_lasting_thread(lambda: launch("worker", captured=True))
        except OSError as error:
            _STARTS.release()
            hint = "see whether processes or memory are limited here"
            raise StepFailed(f"its process cannot be started: {error.strerror}", hint=hint) from error
        self._group = launched.pid
        RUNNING.add(self._group)
        self.satellite = Satellite(launched, on_message=self._take, on_output=self._print, on_end=self._end)
        # Pickled, because a step's fields may hold user types that JSON cannot encode.
        encoded = b64encode(pickle.dumps(step)).decode()
        first = {"path": sys.path, "step": encoded, "kind": step.kind, "signals": signals}
        self.satellite.send({"type": "start", **first})

    def ask(self, request: Mapping[str, Any], context: Context, grace: float) -> Sequence[Change]:
        """Send a request and wait for the answer; raises what the step raised."""
        self._was_asked = True
        applying = request["type"] == "apply"
        answered, killed = Event(), Event()

        def stop() -> None:
            self.satellite.send({"type": "stop", "reason": context.stop.reason})
            if not answered.wait(grace):
                killed.set()
                self.satellite.kill()

        self._context = context
        while self._before:
            text, level = self._before.pop(0)
            context.log(text, level=level)
        seconds = None if context.deadline is None else context.deadline - time.monotonic()
        about = {"id": context.step_id, "span": msgspec.to_builtins(context.span), "seconds": seconds}
        with context.on_cancel(stop):
            self.satellite.send({**request, **about, "session_lock": context.session_lock})
            answer = self._answers.get()
            answered.set()
        if isinstance(answer, dict):
            if answer["type"] == "result":
                return msgspec.convert(answer["changes"], tuple[Change, ...])
            raise _raised(answer)
        if applying and self._sessions:
            from inithold.steps.database.driver import end_sessions  # noqa: PLC0415 - seldom needed

            # The killed worker's statements may still be running on a server.
            if left := end_sessions(self._sessions, SERVER_GRACE):
                text = f"{left} did not confirm within {SERVER_GRACE:g} s that what was running there has ended"
                context.log(text, level="warning")
        if applying and killed.is_set():
            message = f"it did not stop within {grace:g} s and was killed"
            if not context.stop.failed:
                # A cancelled step's result does not show this message.
                context.log(message, level="warning")
            raise Interrupted(message)
        context.check_cancelled()
        raise self._died(answer)

    @property
    def urls(self) -> Sequence[str]:
        """Of the databases on which it opened sessions."""
        return list(dict.fromkeys(session["url"] for session in self._sessions))

    def end(self) -> None:
        """Let it end; kill it if it has only preloaded."""
        self.satellite.close_input()
        if not self._was_asked:
            self.satellite.kill()

    def close(self) -> None:
        """End it; kill it if it does not end in time."""
        self.satellite.close_input()
        if self.satellite.wait(_CLOSING) is None:
            self.satellite.kill()
            self.satellite.wait(_CLOSING)

    def _died(self, death: Death) -> StepFailed:
        why = ""
        if death.code is None or death.code >= 0:
            hint = "the code must return or raise, not end the process (os._exit)"
        elif death.code != -9:
            hint = (
                "a library written in C crashed, or something else sent that signal: run the code by hand to see"
            )
        elif self._kills is not None and self._kills != _oom_kills():
            why = " by the kernel: out of memory"
            hint = "raise the container's memory limit, or have the code need less at once"
        else:
            hint = (
                "SIGKILL from elsewhere is often the kernel's, out of memory: look at the container's memory limit"
            )
        return StepFailed(f"its process {death}{why} before it was done", hint=hint)

    # -- called from the satellite's threads

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "log":
            self._log(message["text"], message["level"])
        elif kind == "loaded":
            self._is_up()
        elif kind in ("result", "error", "fault"):
            self._is_up()
            self._answers.put(message)
        elif kind == "session":
            self._sessions.append(message)
        elif kind == "telemetry" and self._context is not None:
            self._context.stream.emit(FromUserCode(signal=message["signal"], body=message["body"]))
        elif kind == "secret":
            SECRETS.add_url(message["url"])

    def _print(self, line: str) -> None:
        quiet = self._quiet_check and (self._context is None or self._context.phase != "applying")
        self._log(line, "debug" if quiet else "info")

    def _log(self, text: str, level: Level) -> None:
        if self._context is None:
            self._before.append((text, level))
        else:
            self._context.log(text, level=level)

    def _end(self, death: Death) -> None:
        self.has_ended = True
        RUNNING.discard(self._group)
        self._is_up()
        self._answers.put(death)

    def _is_up(self) -> None:
        if self._starting:
            self._starting = False
            _STARTS.release()


def _raised(answer: Mapping[str, Any]) -> Exception:
    """Rebuild the exception that the worker reported."""
    if answer["type"] == "fault":
        fault: Exception = type(answer["exception"], (Exception,), {})(answer["message"])
        fault.add_note(answer["traceback"])
        return fault
    error = _ERRORS[answer["error"]](answer["message"], hint=answer["hint"])
    if isinstance(error, NotYet) and answer["probe"]:
        error.probe = tuple(answer["probe"])
    error.exception = answer["exception"]
    return error


def _oom_kills() -> int | None:
    """How many processes in this process's cgroup the kernel has killed out of memory; None if unknown.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files and, for version 1,
    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
    """
    files: list[Path] = []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own = path.strip("/")
            if not controllers:
                files.append(_GROUPS / own / "memory.events")
            elif "memory" in controllers.split(","):
                # A container may see the host's path, but have only its own group mounted.
                files += [_GROUPS / "memory" / each / "memory.oom_control" for each in (own, "")]
    for file in files:
        with suppress(OSError, ValueError, IndexError):
            words = file.read_text().split()
            return int(words[words.index("oom_kill") + 1])
    return None
