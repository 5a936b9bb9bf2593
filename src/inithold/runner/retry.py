"""When to try again: the only place that waits.

While a port is refused or a name does not resolve, a bare TCP connection probes it every 50 to 55 ms: that
notices a server at once and costs it almost nothing. Anything else (starting up, too many connections) takes a
full handshake to find out, so it backs off, up to a second. The back-off restarts when the server first accepts,
because many servers open their port shortly before they are ready. If the plan sets `retry`, its numbers are used
instead, and nothing is probed in between.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from inithold.errors import Interrupted, NotYet
from inithold.net.dial import dial
from inithold.plan.model import Retry
from inithold.runner.context import Stop
from inithold.text.duration import Duration

PROBE_INTERVAL = (0.05, 0.055)
PROBE_TIMEOUT = 1.0
HANDSHAKES = Retry(delay=Duration(0.05), max_delay=Duration(1.0))
REPORT_INTERVAL = 5.0
FAILURES_TRIED = 3
"""Attempts at failing user code if `retry` does not set `attempts`."""
Say = Callable[[NotYet, float], None]
"""Takes the error and the seconds waited so far."""


def backoff(retry: Retry, attempt: int) -> float:
    """Seconds to wait after the given attempt (from 1): doubling, capped, with ±10 % jitter."""
    # Cap the exponent: 2.0 ** attempt would overflow.
    delay = min(retry.delay * 2.0 ** min(attempt - 1, 60), max(retry.max_delay, retry.delay))
    return delay * random.uniform(0.9, 1.1)  # noqa: S311 - jitter is no secret


class Waiting:
    """Reports why a step waits: when the reason changes, and every `REPORT_INTERVAL` seconds."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._said_at = 0.0
        self._reason = ""
        self.last: NotYet | None = None
        self.probes = 0
        """TCP probes made."""
        self.handshakes = 0
        """Failed handshakes since the server last began to accept connections."""

    def note(self, error: NotYet, say: Say) -> None:
        """Remember the reason; report it if it is new or has not been reported for a while."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self.last = error
        due = now - self._said_at >= REPORT_INTERVAL
        # A restarting server alternates between two reasons; do not report each change.
        changed = error.message != self._reason and now - self._said_at >= 1.0
        if due or changed or not self._reason:
            self._reason, self._said_at = error.message, now
            say(error, now - self._began)


def pause(error: NotYet, retry: Retry | None, attempt: int, stop: Stop, waiting: Waiting, say: Say) -> None:
    """Wait until it makes sense to try again.

    Args:
        retry: the plan's setting; None for the default behaviour.
        attempt: the number of attempts so far, from 1.
        waiting: told about every probe.
        say: reports why the step waits.

    Raises:
        Interrupted: the step was told to stop.
    """
    waiting.note(error, say)
    if error.probe is not None and retry is None:
        waiting.handshakes = 0
        while not stop.wait(random.uniform(*PROBE_INTERVAL)):  # noqa: S311 - jitter is no secret
            waiting.probes += 1
            try:
                dial(*error.probe, timeout=PROBE_TIMEOUT)
            except NotYet as refused:
                waiting.note(refused, say)
            else:
                return
        raise Interrupted(stop.reason)
    waiting.handshakes += 1
    delay = backoff(HANDSHAKES, waiting.handshakes) if retry is None else backoff(retry, attempt)
    if retry is None and error.within is not None:
        delay = min(delay, error.within)
    if stop.wait(delay):
        raise Interrupted(stop.reason)


def may_try_again(retry: Retry | None, attempt: int, *, failure: bool) -> bool:
    """Whether another attempt is allowed.

    Args:
        failure: whether user code failed, rather than "not yet".
    """
    if failure:
        return retry is not None and attempt < (retry.attempts or FAILURES_TRIED)
    return retry is None or retry.attempts is None or attempt < retry.attempts
