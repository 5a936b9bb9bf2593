"""Limits on user code that runs in the run's own process, kept from outside: by PID 1, or by a watchdog.

Such code may keep the interpreter lock, and nothing of the run's own gets its turn then: no timer, no signal
handler. So the run tells a process beside it, in a line on a pipe, until when each such step must have ended. The
interpreter's C handler writes the number of each signal into the same pipe (`signal.set_wakeup_fd`), which needs
no lock.

    until SECONDS FACTS     a step's code has begun; SECONDS on the monotonic clock, which processes share
    over STEP               it has ended

FACTS are JSON, for whoever writes the run's last words (`inithold.lifecycle.watchdog`). Standard library only.
"""

from __future__ import annotations

import time

GRACE = 5.5
"""Seconds that code gets to stop; the run itself gives up on code that lets it after 5."""
_ENDING = {1: "SIGHUP", 2: "SIGINT", 15: "SIGTERM"}


class Limits:
    """What a run has said, and when it has to be killed."""

    def __init__(self) -> None:
        self._steps: dict[bytes, tuple[float, bytes]] = {}
        self._rest = b""
        self._stopped_at = float("inf")
        self.stop_signal = ""
        """The signal that told the run to end; empty for none."""

    def feed(self, data: bytes) -> None:
        """Take what the run has written."""
        for number in data:
            if number in _ENDING:
                self.tell(_ENDING[number])
        *lines, self._rest = (self._rest + bytes(each for each in data if each not in _ENDING)).split(b"\n")
        for line in lines:
            word, _, rest = line.partition(b" ")
            if word == b"until":
                until, _, facts = rest.partition(b" ")
                # They begin with the step's id; decoding all of it is not for PID 1.
                step = facts.partition(b'"step":"')[2].partition(b'"')[0]
                self._steps[step] = (float(until), facts)
            elif word == b"over":
                self._steps.pop(rest, None)

    def tell(self, name: str) -> None:
        """A signal has told the run to end."""
        if not self.stop_signal:
            self.stop_signal, self._stopped_at = name, time.monotonic()

    @property
    def seconds(self) -> float | None:
        """Seconds until the run has to be killed; None for not at all."""
        until = min((until for until, _ in self._steps.values()), default=float("inf"))
        until = min(until, self._stopped_at) if self._steps else until
        return None if until == float("inf") else max(0.0, until + GRACE - time.monotonic())

    @property
    def facts(self) -> bytes:
        """Of the step that does not end."""
        return min(self._steps.values(), default=(0.0, b""))[1]
