"""Enforces limits on user code in the run's process from outside that process; see `inithold.hold.limits`.

If inithold is PID 1, the reaper does it. Otherwise a separate process does, started only for plans with such code;
it ends with the run. Either way, this module completes and shows the record of a run that was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from inithold.hold.limits import GRACE, Limits
from inithold.hold.reaper import REAPER
from inithold.process import streams

if TYPE_CHECKING:
    from inithold.process.satellite import Channel

_HINT = "set timeouts on what the function does, or make it a python.call, which has a process of its own"


class Watchdog:
    """The run's side (`inithold.runner.run.Watchdog`). Create it in the main thread."""

    def __init__(self, record: str, log_format: str) -> None:
        from inithold.process.satellite import launch  # noqa: PLC0415 - few plans need it

        self._facts = {"record": os.path.abspath(record), "format": log_format, "pid": os.getpid()}  # noqa: PTH100
        self._pipe: int | None = None
        if REAPER.holding_pid == os.getpid():
            # Lasting, because it must survive the run that it kills.
            launched = launch("watchdog", lasting=True)
            os.close(launched.output)
            os.set_blocking(launched.input, False)
            self._pipe = launched.input
            # The interpreter's C handler writes signals here even when no Python handler can run.
            signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
            # A signal to a process that user code forked is not a signal to the run.
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

    def begin(self, step_id: str, until: float | None, reason: str) -> None:
        facts = json.dumps({"step": step_id, "reason": reason, **self._facts}, separators=(",", ":"))
        self._write(f"until {'inf' if until is None else until} {facts}\n")

    def over(self, step_id: str) -> None:
        self._write(f"over {step_id}\n")

    def _write(self, line: str) -> None:
        if self._pipe is None:
            REAPER.limit(line.encode())
        else:
            # If the watchdog is gone or stuck, the run goes on without limits.
            with suppress(OSError):
                os.write(self._pipe, line.encode())


def main(channel: Channel) -> int:
    """The watchdog process, a program of `inithold.process.satellite`."""
    limits = Limits()
    poll = select.poll()
    poll.register(channel.input, select.POLLIN)
    while True:
        seconds = limits.seconds
        if not poll.poll(None if seconds is None else seconds * 1000):
            facts, stop_signal = json.loads(limits.facts), limits.stop_signal
            with suppress(ProcessLookupError):
                os.kill(facts["pid"], signal.SIGKILL)
            break
        data = os.read(channel.input, 65536)
        if data.startswith(b"dead "):
            _, told, of_step = data.split(b" ", 2)
            facts, stop_signal = json.loads(of_step), told.decode().strip("-")
            break
        if not data:
            return 0
        limits.feed(data)
    # PID 1 waits for the last words, and the record is completed after them.
    streams.expect_no_reader()
    _say_last_words(facts, stop_signal)
    return streams.end(0)


def _say_last_words(facts: dict[str, Any], stop_signal: str) -> None:
    """Complete the record of a run that was killed, and print how it ended.

    `facts` describe the step whose code did not stop; `stop_signal` told the run to end, empty after a timeout.
    """
    import time  # noqa: PLC0415 - only needed once a run was killed

    import msgspec  # noqa: PLC0415

    from inithold.marker.file import write_whole  # noqa: PLC0415
    from inithold.process import termination_log  # noqa: PLC0415
    from inithold.process.exits import say  # noqa: PLC0415
    from inithold.record.account import Account  # noqa: PLC0415
    from inithold.record.model import load_record  # noqa: PLC0415
    from inithold.record.table import failure  # noqa: PLC0415
    from inithold.redaction.redact import SECRETS  # noqa: PLC0415
    from inithold.runner.events import RunFinished, StepFinished  # noqa: PLC0415
    from inithold.runner.stream import Stream  # noqa: PLC0415
    from inithold.watchers.console import console  # noqa: PLC0415
    from inithold.watchers.console.summary import print_summary  # noqa: PLC0415

    SECRETS.add_environment(os.environ)
    reason = f"{stop_signal or facts['reason']}, and its code did not stop within {GRACE:g} s: the run was killed"
    outcome: Literal["cancelled", "failed"] = "cancelled" if stop_signal else "failed"
    if (record := load_record(facts["record"])) is None:
        say(f"inithold: {facts['step']}: {reason}\nnext: {_HINT}")
        termination_log.write(f"{facts['step']}: {reason}\nnext: {_HINT}")
        return
    account = Account()
    account.resume(record)
    stream = Stream([account, console(facts["format"], "info", width=max(len(step.id) for step in record.steps))])
    for step in record.steps:
        if step.id == facts["step"]:
            stream.emit(
                StepFinished(
                    step=step.id, outcome=outcome, attempts=max(1, step.attempts), reason=reason, hint=_HINT
                )
            )
        elif step.state in ("pending", "waiting", "checking", "applying"):
            before = "cancelled" if step.started else "cancelled before it began"
            stream.emit(StepFinished(step=step.id, outcome="cancelled", attempts=step.attempts, reason=before))
    ended = f"{facts['step']}: {reason}"
    stream.emit(RunFinished(outcome=outcome, duration=time.time() - record.started, reason=stop_signal or ended))
    stream.close()
    with suppress(OSError):
        write_whole(facts["record"], msgspec.json.encode(record) + b"\n")
    if facts["format"] != "json":
        print_summary(record)
    if outcome == "failed":
        termination_log.write(failure(msgspec.to_builtins(record)))
