"""Writes the events of a run to the sender, and never waits for it while the run goes on."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Collection
from contextlib import suppress

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
"""Size of the pipe to the sender where the system allows it (Linux): what comes before the sender reads."""
BUFFER_BYTES = 1 << 20
"""How much is kept for a sender that does not read; log lines and user code's telemetry beyond it are dropped."""
ANSWER_SECONDS = 0.25
"""How much of the time that is waited the sender leaves for its answer."""
DRAIN_SECONDS = 1.0
"""How long a hold may be delayed by a sender that has not read everything yet."""
_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
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
    Verified,
    LogLine,
    FromUserCode,
)
"""The events that the sender gets."""


class Begin(msgspec.Struct, tag=True):
    """The first message to the sender.

    Args:
        instance: `service.instance.id` where the variables give none.
        log_format: how it writes to the log.
    """

    instance: str
    log_format: str


class End(msgspec.Struct, tag=True):
    """The last message to the sender: everything is there.

    Args:
        until: when it is to be done, on the monotonic clock, which processes share.
        retry: whether to try again meanwhile what did not arrive.
        answer: whether the starting process waits for the outcome; else the sender says it in the log itself.
        dropped: how many log lines and pieces of user code's telemetry did not fit into the buffer.
    """

    until: float
    retry: bool
    answer: bool
    dropped: int


class Telemetry:
    """A watcher that hands what it sees to the sender, which it starts when a run begins.

    Args:
        signals: those that are exported.
        level: the least of log lines that become log records.
        log_format: how the sender writes to the log, as `console` takes it.
        holder: the process that holds, or will; this one if None.
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
        self._levels = _LEVELS[_LEVELS.index(level) :]
        self._holder = os.getpid() if holder is None else holder
        self._buffer = bytearray(_line(Begin(instance_id(self._holder), log_format)))
        self._dropped = 0
        self._sender: Launched | None = None
        self._problem = ""

    def see(self, event: Event) -> None:
        """Send an event; what the pipe does not take is kept for the next time."""
        if not isinstance(event, SENT) or (isinstance(event, LogLine) and event.level not in self._levels):
            return
        if isinstance(event, LogLine | FromUserCode) and len(self._buffer) > BUFFER_BYTES:
            self._dropped += 1
            return
        self._buffer += _line(event)
        if self._sender is None and isinstance(event, RunStarted | Verified) and not self._problem:
            # In the thread that becomes the holder: the sender ends with the thread that started it.
            try:
                # PID 1 adopts it when this process tells PID 1 to hold.
                self._sender = launch("sender", lasting=self._holder == 1 != os.getpid())
            except OSError as error:
                self._problem = f"telemetry was not sent: its process cannot be started: {error.strerror}"
                return
            os.set_blocking(self._sender.input, False)
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                with suppress(OSError):  # more than an unprivileged user may have
                    fcntl.fcntl(self._sender.input, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        if self._sender is not None:
            self._write(self._sender.input)

    def close(self) -> None:
        """Nothing: `finish` has ended what is to be sent."""

    def finish(self, seconds: float, *, retry: bool, wait: bool) -> str | None:
        """Let the sender send everything seen so far.

        Args:
            seconds: how long it may take in all, imports included.
            retry: whether to try again meanwhile what did not arrive.
            wait: whether to wait for the end of it; else the sender goes on alone, and says in the log itself what
                it gives up.

        Returns:
            one line about what was given up; None where everything arrived, there was nothing to send, or it is
            not waited for.
        """
        sender, self._sender = self._sender, None
        if sender is None:
            return self._problem or None
        deadline = time.monotonic() + seconds
        self._buffer += _line(End(deadline - ANSWER_SECONDS if wait else deadline, retry, wait, self._dropped))
        self._write(sender.input, until=deadline if wait else time.monotonic() + DRAIN_SECONDS)
        os.close(sender.input)
        try:
            return _answer(sender, deadline) if wait else None
        finally:
            os.close(sender.output)

    def _write(self, descriptor: int, *, until: float = 0.0) -> None:
        """Write what the pipe takes; all of it where that is possible until then."""
        while self._buffer:
            try:
                del self._buffer[: os.write(descriptor, self._buffer)]
            except BlockingIOError:
                if not _wait(descriptor, select.POLLOUT, until):
                    return
            except OSError:
                # It has ended; `finish` says so.
                self._buffer.clear()


def _answer(sender: Launched, deadline: float) -> str | None:
    """What the sender answers. It has nothing more to do then; one that does not answer is killed."""
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
