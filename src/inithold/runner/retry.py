"""When to try again: the only place that waits.

A refused port or an unresolved name is probed by a bare TCP connection every 50 to 55 ms for as long as it
lasts, so that a server that has come up is noticed at once at almost no cost to it. Everything else (starting
up, too many connections) costs a full handshake to find out, and backs off to a second, from the moment at which
the server first accepted: one that opens its port and then says for a moment that it starts is soon asked again.
Where a plan sets
`retry`, its numbers hold and nothing is probed in between.
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
"""How often a failure of user code is tried where `retry` gives no `attempts`."""


def backoff(retry: Retry, attempt: int) -> float:
    """Seconds to wait after the given attempt (from 1): doubling, capped, with up to a fifth of jitter."""
    # 2 ** 60 seconds is past any cap and still a float.
    delay = min(retry.delay * 2.0 ** min(attempt - 1, 60), max(retry.max_delay, retry.delay))
    return delay * random.uniform(0.9, 1.1)  # noqa: S311 - jitter is no secret


class Waiting:
    """Says what a step waits for: when the reason changes, and every few seconds.

    Args:
        say: called with the reason, its hint and the seconds waited so far.
    """

    def __init__(self, say: Callable[[NotYet, float], None]) -> None:
        self._say = say
        self._began: float | None = None
        self._said_at = 0.0
        self._reason = ""
        self.last: NotYet | None = None
        self.probes = 0
        """How many bare connections were tried."""
        self.handshakes = 0
        """How many have failed since the server last began to accept connections."""

    def note(self, error: NotYet) -> None:
        """Take note of why it is not yet; say it if it is news or has not been said for a while."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self.last = error
        due = now - self._said_at >= REPORT_INTERVAL
        # Two reasons in turn (a restarting server) are not news each time.
        changed = error.message != self._reason and now - self._said_at >= 1.0
        if due or changed or not self._reason:
            self._reason, self._said_at = error.message, now
            self._say(error, now - self._began)


def pause(error: NotYet, retry: Retry | None, attempt: int, stop: Stop, waiting: Waiting) -> None:
    """Wait until it makes sense to try again.

    Args:
        error: why it is not yet.
        retry: what the plan says, None for the built-in way.
        attempt: how many attempts have been made, from 1.
        stop: ends the wait early.
        waiting: told what is seen meanwhile.

    Raises:
        Interrupted: the step was told to stop.
    """
    waiting.note(error)
    if error.probe is not None and retry is None:
        waiting.handshakes = 0
        _until_accepted(error.probe, stop, waiting)
        return
    waiting.handshakes += 1
    delay = backoff(HANDSHAKES, waiting.handshakes) if retry is None else backoff(retry, attempt)
    if retry is None and error.within is not None:
        delay = min(delay, error.within)
    if stop.wait(delay):
        raise Interrupted(stop.reason)


def _until_accepted(probe: tuple[str, int], stop: Stop, waiting: Waiting) -> None:
    while not stop.wait(random.uniform(*PROBE_INTERVAL)):  # noqa: S311 - jitter is no secret
        waiting.probes += 1
        try:
            dial(*probe, timeout=PROBE_TIMEOUT)
        except NotYet as error:
            waiting.note(error)
        else:
            return
    raise Interrupted(stop.reason)


def may_try_again(retry: Retry | None, attempt: int, *, failure: bool) -> bool:
    """Whether another attempt is allowed after `attempt` of them.

    Args:
        retry: what the plan says.
        attempt: how many have been made.
        failure: whether it was a failure of user code, rather than "not yet".
    """
    if failure:
        return retry is not None and attempt < (retry.attempts or FAILURES_TRIED)
    return retry is None or retry.attempts is None or attempt < retry.attempts
