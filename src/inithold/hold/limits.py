"""Limits on user code in the run's own process, enforced from outside: by PID 1, or by a watchdog.

Such code may keep the interpreter lock, and then no timer or signal handler of the run can act. So the run writes
each such step's deadline to another process, as a line on a pipe. The interpreter's C signal handler, which needs
no lock, writes the number of each signal to the same pipe (`signal.set_wakeup_fd`).

    until SECONDS FACTS     a step's code has begun; SECONDS on the monotonic clock, which processes share
    over STEP               it has ended

FACTS are JSON for `inithold.lifecycle.watchdog`, which completes a killed run's record. Standard library only.
"""

from __future__ import annotations

import time

GRACE = 5.5
"""Seconds that code gets to stop; a run that can still act gives up after 5."""
_ENDING = {1: "SIGHUP", 2: "SIGINT", 15: "SIGTERM"}
_NUMBERS = bytes(range(65))
"""Of all signals, up to SIGRTMAX; no word begins with one of them."""


class Limits:
    """The deadlines that a run has announced, and when to kill it."""

    def __init__(self) -> None:
        self._steps: dict[bytes, tuple[float, bytes]] = {}
        self._rest = b""
        self._stopped_at = float("inf")
        self.stop_signal = ""
        """The signal that told the run to end; empty if none came."""

    def feed(self, data: bytes) -> None:
        """Process what was read from the pipe."""
        for number in data:
            if number in _ENDING:
                self.tell(_ENDING[number])
        *lines, self._rest = (self._rest + bytes(each for each in data if each not in _ENDING)).split(b"\n")
        for line in lines:
            # Code of the user may handle other signals, and their numbers come on the same pipe.
            word, _, rest = line.lstrip(_NUMBERS).partition(b" ")
            if word == b"until":
                until, _, facts = rest.partition(b" ")
                # Find the step's id without a JSON parser, which PID 1 does not import.
                step = facts.partition(b'"step":"')[2].partition(b'"')[0]
                self._steps[step] = (float(until), facts)
            elif word == b"over":
                self._steps.pop(rest, None)

    def tell(self, name: str) -> None:
        """Note that a signal has told the run to end."""
        if not self.stop_signal:
            self.stop_signal, self._stopped_at = name, time.monotonic()

    @property
    def seconds(self) -> float | None:
        """Seconds until the run must be killed; None for never."""
        until = min((until for until, _ in self._steps.values()), default=float("inf"))
        until = min(until, self._stopped_at) if self._steps else until
        return None if until == float("inf") else max(0.0, until + GRACE - time.monotonic())

    @property
    def facts(self) -> bytes:
        """The FACTS of the step with the earliest deadline."""
        return min(self._steps.values(), default=(0.0, b""))[1]
