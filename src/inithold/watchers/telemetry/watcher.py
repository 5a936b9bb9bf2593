"""Watchers for telemetry: a run's writes to the sender, and never waits for it; a check's sends by itself."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from threading import Lock

import msgspec

from inithold.marker.identity import instance_id
from inithold.process.satellite import Launched, launch
from inithold.runner.events import (
    AttemptFailed,
    Event,
    FromUserCode,
    Level,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    StepWaiting,
    TelemetrySignal,
    Verified,
)

PIPE_BYTES = 1 << 20
"""Size of the pipe to the sender, if the system allows it (Linux), for events before the sender reads."""
BUFFER_BYTES = 1 << 20
"""Bytes to keep for a slow sender; beyond that, log lines and user code's telemetry are dropped."""
ANSWER_SECONDS = 0.25
"""Seconds of the wait that the sender reserves for its answer."""
DRAIN_SECONDS = 1.0
"""Seconds that a sender which has not read everything yet may delay a hold."""
SENT = (
    RunStarted,
    LockWaiting,
    LockAcquired,
    StepStarted,
    StepWaiting,
    AttemptFailed,
    StepFinished,
    RunFinished,
    MarkerPublished,
    LogLine,
    FromUserCode,
)
"""The events that the sender gets."""


class Begin(msgspec.Struct, tag=True):
    """The first message to the sender.

    Args:
        instance: `service.instance.id`, unless the variables set one.
        log_format: the sender's own log format.
    """

    instance: str
    log_format: str


class End(msgspec.Struct, tag=True):
    """The last message to the sender.

    Args:
        until: its deadline on the monotonic clock, which processes share.
        retry: whether to retry failed exports until then.
        answer: whether the run waits for the outcome; otherwise the sender logs it.
        dropped: how many log lines and pieces of user code's telemetry did not fit into the buffer.
    """

    until: float
    retry: bool
    answer: bool
    dropped: int


class Telemetry:
    """A watcher that keeps events until the sender is started, and then passes them on.

    Args:
        signals: the signals to export.
        level, log_format, holder: as for `make`.
    """

    def __init__(
        self,
        signals: Collection[TelemetrySignal],
        *,
        level: Level = "info",
        log_format: str = "auto",
        holder: int | None = None,
    ) -> None:
        self.signals = signals
        self._level = level
        self._holder = os.getpid() if holder is None else holder
        self._buffer = bytearray(_line(Begin(instance_id(self._holder), log_format)))
        self._dropped = 0
        self._lock = Lock()
        """Held while the buffer or the sender is used: the main thread starts it while steps emit events."""
        self._has_run = False
        self._started = False
        self._sender: Launched | None = None
        self._problem = ""

    def see(self, event: Event) -> None:
        """Send an event; keep for the next time what the pipe does not take."""
        if not isinstance(event, SENT) or _is_below(event, self._level):
            return
        with self._lock:
            most = BUFFER_BYTES + (PIPE_BYTES if self._sender is None else 0)
            if isinstance(event, LogLine | FromUserCode) and len(self._buffer) > most:
                self._dropped += 1
                return
            self._has_run = self._has_run or isinstance(event, RunStarted)
            self._buffer += _line(event)
            if self._sender is not None:
                self._write(self._sender.input)

    def start_sender(self) -> None:
        """Start the sender, unless it has been started or no run has begun.

        Call this in the thread that becomes the holder: the sender ends with the thread that starts it.
        """
        if self._started or not self._has_run:
            return
        self._started = True
        try:
            # PID 1 adopts it when this process tells PID 1 to hold.
            sender = launch("sender", lasting=self._holder == 1 != os.getpid())
        except OSError as error:
            self._problem = f"telemetry was not sent: its process cannot be started: {error.strerror}"
            return
        os.set_blocking(sender.input, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # above an unprivileged user's limit
                fcntl.fcntl(sender.input, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with self._lock:
            self._sender = sender
            self._write(sender.input)

    def close(self) -> None:
        """Nothing to close: `finish` does it."""

    def finish(self, seconds: float, *, retry: bool, wait: bool) -> str | None:
        """Let the sender send everything collected so far.

        Args:
            seconds: the time limit, including imports.
            retry: whether to retry failed exports until then.
            wait: whether to wait for the outcome; otherwise the sender goes on alone and logs it.

        Returns:
            one line about what was not delivered; None if everything arrived, there was nothing to send, or `wait`
            is false.
        """
        self.start_sender()
        with self._lock:
            sender, self._sender = self._sender, None
        if sender is None:
            return self._problem or None
        deadline = time.monotonic() + seconds
        with self._lock:
            self._buffer += _line(End(deadline - ANSWER_SECONDS if wait else deadline, retry, wait, self._dropped))
            self._write(sender.input, until=deadline if wait else time.monotonic() + DRAIN_SECONDS)
        os.close(sender.input)
        try:
            return _answer(sender, deadline) if wait else None
        finally:
            os.close(sender.output)

    def _write(self, descriptor: int, *, until: float = 0.0) -> None:
        """Write what the pipe takes until the buffer is empty or `until` has passed."""
        while self._buffer:
            try:
                del self._buffer[: os.write(descriptor, self._buffer)]
            except BlockingIOError:
                if not _wait(descriptor, select.POLLOUT, until):
                    return
            except OSError:
                # The sender has ended; `finish` will report it.
                self._buffer.clear()


class CheckTelemetry:
    """A watcher that keeps the events of a hold's check, and sends them from this process.

    Args:
        level, holder: as for `make`.
    """

    def __init__(self, *, level: Level, holder: int) -> None:
        self._level = level
        self._holder = holder
        self._events: list[Event] = []

    def see(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, LogLine | Verified) and not _is_below(event, self._level):
            self._events.append(event)

    def close(self) -> None:
        """Nothing to close: `send` does it."""

    def send(self, seconds: float) -> str | None:
        """Send what was kept, once; the process is of no more use after this.

        Args:
            seconds: the time limit, including imports.

        Returns:
            one line about what was not delivered; None if everything arrived.
        """
        from inithold.watchers.telemetry.delivery import deliver  # noqa: PLC0415 - the watcher of a run has a sender

        return deliver(self._events, instance_id(self._holder), until=time.monotonic() + seconds)


def _is_below(event: Event, level: Level) -> bool:
    return isinstance(event, LogLine) and event.level == "debug" and level != "debug"


def _answer(sender: Launched, deadline: float) -> str | None:
    """Read the sender's answer, then kill it: it has nothing left to do, or does not answer."""
    text = b""
    while in_time := _wait(sender.output, select.POLLIN, deadline):
        data = os.read(sender.output, 65536)
        text += data
        if not data or data.endswith(b"\n"):
            break
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(sender.pid, signal.SIGKILL)
        os.waitpid(sender.pid, 0)
    if not in_time:
        return "telemetry was not sent: its process did not end in time"
    if not text.endswith(b"\n"):
        return "telemetry was not sent: its process ended before it was done"
    line: str | None = json.loads(text)["undelivered"]
    return line


def _wait(descriptor: int, event: int, until: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))


def _line(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message) + b"\n"
