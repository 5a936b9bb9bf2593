"""Brings data to a collector that may be late, dead, slow or silent, and is back in time whatever it does.

Nothing here trusts an exporter to return: each delivery has a daemon thread, which is left behind when the time is
up. The SDK's own processors are not used: their flush may ignore its timeout.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Event, Thread
from typing import Any, Protocol

from inithold.redaction.redact import scrub
from inithold.text.duration import spoken
from inithold.watchers.telemetry.settings import listed

PAUSE = 0.5
"""Seconds between two attempts: a collector that has come up is noticed soon, one that is dead costs little."""
STOP_GRACE = 0.5
"""Seconds that what is on its way still gets once retrying is to stop."""
LONGEST_REASON = 200


class NotDelivered(Exception):
    """An attempt came to nothing.

    Args:
        reason: for people, in the server's or the system's words.
        permanent: the collector refuses what it got; trying again would not help.
        after: seconds the collector asks to be left alone.
    """

    def __init__(self, reason: str, *, permanent: bool = False, after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = in_one_line(reason)
        self.permanent = permanent
        self.after = after


class Sender(Protocol):
    """What brings one batch to its destination."""

    def send(self, batch: Any, seconds: float) -> str:
        """Send once.

        Args:
            batch: as the exporter takes it.
            seconds: how long it may take.

        Returns:
            what the collector has to say about a part it did not take; empty where it took everything.

        Raises:
            NotDelivered: it did not arrive.
        """


class Patience:
    """How long is waited in all, and whether the waiting is to end early.

    Args:
        seconds: in all.
        stop: asked now and then; once it says so, only what is on its way gets a moment more.
    """

    def __init__(self, seconds: float, stop: Callable[[], bool]) -> None:
        self.began = time.monotonic()
        self.over = Event()
        self._deadline = self.began + seconds
        self._stop = stop

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._deadline - time.monotonic())

    def wait(self, done: Event) -> bool:
        """Wait for `done` while there is time; whether it came."""
        while not done.wait(min(self.left(), 0.05)):
            if not self.over.is_set() and self._stop():
                self.over.set()
                self._deadline = min(self._deadline, time.monotonic() + STOP_GRACE)
            if self.left() <= 0:
                self.over.set()
                return False
        return True


class Delivery:
    """One signal on its way to one destination.

    Args:
        what: for people: `traces`.
        to: for people: the address.
        batches: what to send, in order.
        open_sender: makes the sender; called in the delivery's own thread, since it imports and may fail.
        hint: what to try where nothing arrives.
    """

    def __init__(
        self, what: str, to: str, batches: Sequence[Any], open_sender: Callable[[], Sender], hint: str = ""
    ) -> None:
        self.what = what
        self.to = to
        self.hint = hint
        self.problem = ""
        self.done = Event()
        self.delivered = False
        self.thread: Thread | None = None
        self._batches = deque(batches)
        self._open = open_sender

    def start(self, patience: Patience, *, retry: bool) -> None:
        """Begin, in a thread of its own."""
        self.thread = Thread(
            target=self._run, args=(patience, retry), daemon=True, name=f"inithold-telemetry-{self.what}"
        )
        self.thread.start()

    def _run(self, patience: Patience, retry: bool) -> None:
        try:
            sender = self._open()
            while not self._attempt(sender, patience) and retry:
                if patience.over.wait(min(max(PAUSE, self._after), patience.left())) or patience.left() <= 0:
                    return
        except NotDelivered as refused:
            self.problem = refused.reason
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: said, never in the way
            self.problem = in_one_line(f"{type(error).__name__}: {error}")
        finally:
            self.done.set()

    def _attempt(self, sender: Sender, patience: Patience) -> bool:
        """Send what is left; False where it may be tried again. A batch that arrived is not sent twice."""
        self._after = 0.0
        remarks: list[str] = []
        while self._batches:
            try:
                remark = sender.send(self._batches[0], patience.left())
            except NotDelivered as failed:
                if failed.permanent:
                    raise
                self.problem, self._after = failed.reason, failed.after
                return False
            self._batches.popleft()
            remarks += [remark] if remark else []
        self.delivered = not remarks
        self.problem = in_one_line("; ".join(dict.fromkeys(remarks)))
        return True


def summary(deliveries: Iterable[Delivery], patience: Patience) -> str | None:
    """The one line about what was given up, None where everything arrived."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for delivery in deliveries:
        if not delivery.delivered:
            reason = delivery.problem or "no answer"
            groups.setdefault((delivery.to, reason, delivery.hint), []).append(delivery.what)
    if not groups:
        return None
    tried = spoken(time.monotonic() - patience.began)
    parts = [
        f"{listed(what)} to {to}: {reason}{f' ({hint})' if hint else ''}"
        for (to, reason, hint), what in groups.items()
    ]
    return f"telemetry was not delivered within {tried}: {'; '.join(parts)}"


def in_one_line(text: str) -> str:
    """Foreign text fit for a line of ours: no secrets, no line breaks or control characters, not too long."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in scrub(text)).split())
    return clean if len(clean) <= LONGEST_REASON else clean[:LONGEST_REASON] + "..."
