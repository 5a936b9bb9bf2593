"""The worker process: a program of `inithold.process.satellite` that runs one step's code in its main thread."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec

from inithold.errors import Ahead, Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.process.capture import Level, capturing
from inithold.process.imports import collect_less_often
from inithold.process.signals import handle
from inithold.redaction.redact import SECRETS
from inithold.runner.context import Context
from inithold.runner.events import Event, FromUserCode, LogLine, Span
from inithold.runner.stream import Stream, Watcher
from inithold.steps.base import Change, SessionLock, Step

if TYPE_CHECKING:
    from inithold.process.satellite import Channel
    from inithold.runner.user_telemetry import UserTelemetry

INTERRUPT_AFTER = 1.0
"""Seconds between telling code to stop and raising KeyboardInterrupt in it."""
FLUSH = 0.8
"""Seconds that the user's own OpenTelemetry providers get to flush at the end."""
_ORPHAN_GRACE = 3.0
"""Seconds that code gets to stop after the run has gone away."""
_OOM_SCORE_ADJ = "1000"
"""Out of memory, the kernel kills the worker rather than the run (proc_pid_oom_score_adj(5))."""
_KINDS = (Interrupted, NotYet, Ahead, Rejected, StepFailed)


def main(channel: Channel) -> int:
    """Serve requests until the input ends."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - a kernel file
        file.write(_OOM_SCORE_ADJ)
    first = channel.receive()
    if first is None:
        return 0
    collect_less_often()
    SECRETS.add_environment(os.environ)
    sys.path[:] = first["path"]
    _WorkerProcess(channel, first).run()
    return 0


class _Context(Context):
    """The step's context in a worker (`inithold.steps.base.WorkerContext`)."""

    channel: Channel

    def learn(self, url: str) -> None:
        SECRETS.add_url(url)
        self.channel.send({"type": "secret", "url": url})

    def opened_session(self, session: Mapping[str, Any]) -> None:
        self.channel.send({"type": "session", **session})


class _WorkerProcess(Watcher):
    """Serves one request at a time; as the stream's watcher, sends log lines and telemetry to the run."""

    def __init__(self, channel: Channel, first: Mapping[str, Any]) -> None:
        self._channel = channel
        self._first = first
        self._stream = Stream([self])
        self._telemetry: UserTelemetry | None = None
        if first["signals"]:
            from inithold.runner.user_telemetry import UserTelemetry  # noqa: PLC0415 - many environments have none

            self._telemetry = UserTelemetry(first["signals"], self._stream.emit, self._warn)
        self._requests: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._context: Context | None = None
        self._stopped = ""
        self._folder = os.getcwd()  # noqa: PTH109 - as os.chdir takes it
        self._path = list(sys.path)

    def run(self) -> None:
        """Serve requests until the input ends."""
        handle(signal.SIGINT, self._interrupt)
        handle(signal.SIGTERM, lambda *_: self._stop_in_a_thread("SIGTERM"))
        threading.Thread(target=self._listen, daemon=True, name="inithold-requests").start()
        step = self._load()
        while (request := self._requests.get()) is not None:
            if request["type"] != "load":
                self._channel.send(self._answer(step, request))
                continue
            # If this fails, the step will fail on it, too, and report it.
            with suppress(Exception):
                if isinstance(step, Step):
                    step.preload()
            self._channel.send({"type": "loaded"})
        if self._telemetry is not None and (line := self._telemetry.finish(FLUSH)()):
            self._warn(line)

    def _load(self) -> Step | StepError:
        kind = self._first["kind"]
        try:
            step: Step = pickle.loads(b64decode(self._first["step"]))  # noqa: S301 - the run's own
        except AttributeError as error:
            return StepFailed(
                f"the kind {kind} is not found in its module: {error}",
                hint="a kind that runs in a worker must be a class of a module that can be imported",
            )
        except Exception as error:  # noqa: BLE001 - of the module of a plug-in
            return StepFailed(
                f"the kind {kind} cannot be imported: {type(error).__name__}: {error}",
                hint="its module is imported again in the worker: it must not depend on what the run has set up",
            )
        return step

    def _answer(self, step: Step | StepError, request: Mapping[str, Any]) -> dict[str, Any]:
        deadline = None if request["seconds"] is None else time.monotonic() + request["seconds"]
        span = msgspec.convert(request["span"], Span)
        context = _Context(
            *(request["id"], span, self._stream, deadline),
            tracing=self._telemetry,
            session_lock=SessionLock(*marked) if (marked := request["session_lock"]) else None,
        )
        context.channel = self._channel
        context.phase = "applying" if request["type"] == "apply" else "checking"
        quiet = isinstance(step, Step) and step.quiet_check and context.phase == "checking"

        def say(text: str, level: Level) -> None:
            context.log(text, level="debug" if quiet and level == "info" else level)

        changes: Any = ()
        try:
            with capturing(say, every_thread=True):
                self._context = context
                if self._stopped:
                    context.stop.set(self._stopped)
                # The previous request's code may have changed them.
                os.chdir(self._folder)
                sys.path[:] = self._path
                if isinstance(step, StepError):
                    return _described(step, context)
                if context.phase == "checking":
                    changes = tuple(step.check(context))
                else:
                    step.apply(context, msgspec.convert(request["changes"], tuple[Change, ...]))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run must hear of it
            return _described(error, context)
        finally:
            self._context = None
        return {"type": "result", "changes": msgspec.to_builtins(changes)}

    # -- as a watcher

    def see(self, event: Event) -> None:
        """Send log lines and telemetry to the run."""
        if isinstance(event, LogLine) and not self._channel.open:
            # A forked child has no channel: its standard output reaches the run.
            os.write(1, event.text.encode() + b"\n")
        elif isinstance(event, LogLine):
            self._channel.send({"type": "log", "text": event.text, "level": event.level})
        elif isinstance(event, FromUserCode) and self._channel.open:
            self._channel.send({"type": "telemetry", "signal": event.signal, "body": event.body})

    def _warn(self, text: str) -> None:
        self._stream.emit(LogLine(text=text, level="warning"))

    # -- being told to stop

    def _listen(self) -> None:
        while (message := self._channel.receive()) is not None:
            if message["type"] == "stop":
                self._stop_in_a_thread(message["reason"])
            else:
                self._requests.put(message)
        self._requests.put(None)
        self._stop_in_a_thread("the run has ended")
        time.sleep(_ORPHAN_GRACE)
        os._exit(1)

    def _stop_in_a_thread(self, reason: str) -> None:
        # The caller must not block: it is the listening thread, or the main thread, which is to be interrupted.
        threading.Thread(target=self._stop, args=(reason,), daemon=True, name="inithold-stop").start()

    def _stop(self, reason: str) -> None:
        self._stopped = reason
        if (context := self._context) is None:
            return
        context.stop.set(reason)
        time.sleep(INTERRUPT_AFTER)
        if self._context is context:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _interrupt(self, *_: object) -> None:
        if (context := self._context) is not None and context.stop.is_set():
            raise KeyboardInterrupt


def _described(error: BaseException, context: Context) -> dict[str, Any]:
    """An error as a message to the run."""
    if not isinstance(error, StepError) and context.stop.is_set():
        error = Interrupted(context.stop.reason)
    if not isinstance(error, StepError):
        import traceback  # noqa: PLC0415 - seldom needed

        return {
            "type": "fault",
            "exception": type(error).__name__,
            "message": str(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
    return {
        "type": "error",
        "error": next(kind.__name__ for kind in _KINDS if isinstance(error, kind)),
        "message": error.message,
        "hint": error.hint,
        "probe": error.probe if isinstance(error, NotYet) else None,
        "exception": error.exception or type(error.__cause__ or error).__name__,
    }
