"""Keeps the events of a run and sends what they come to when told to."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from inithold.runner.events import (
    AttemptFailed,
    Event,
    Level,
    LockAcquired,
    LockWaiting,
    LogLine,
    MarkerPublished,
    RunFinished,
    RunStarted,
    Span,
    StepFinished,
    StepStarted,
    StepWaiting,
    Verified,
)
from inithold.steps.registry import KINDS
from inithold.watchers.telemetry import arrival
from inithold.watchers.telemetry.settings import Exporter, Warn

if TYPE_CHECKING:
    from inithold.watchers.telemetry.delivery import Delivery, Patience
    from inithold.watchers.telemetry.sdk import Sdk

MOST_LINES = 10_000
"""How many log lines are kept until they are sent, the newest: what matters is the end of a failing command."""

_TAKES_TURNS = frozenset(kind for kind in KINDS if not kind.startswith("python."))
"""Kinds that run no user code here, or one step at a time: Alembic's are alone with their context."""
_ATTACHED: ContextVar[Any] = ContextVar("_ATTACHED", default=None)
"""What gives a step's span back where one was attached: OpenTelemetry's token."""
_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
_WANTED = (
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
)


class Telemetry:
    """A watcher that keeps what it sees and sends it when told to.

    Args:
        exporters: what is sent where; at least one.
        on_warning: told what goes wrong before the end.
        least: the lowest level of log lines that become log records.
        instance: `service.instance.id` where the variables give none; the SDK's own if empty.
    """

    def __init__(
        self, exporters: Sequence[Exporter], on_warning: Warn, least: Level = "info", instance: str = ""
    ) -> None:
        self._instance = instance
        self._exporters = exporters
        self._on_warning = on_warning
        self._levels = frozenset(_LEVELS[_LEVELS.index(least) :])
        self._number = 0
        self._events: list[tuple[int, Event]] = []
        self._lines: deque[tuple[int, Event]] = deque(maxlen=MOST_LINES)
        self._lines_seen = 0
        self._plan = ""
        self._side_by_side = True
        self._sdk: Sdk | None = None
        self._broken = False
        self._loading = Lock()

    # -- as a watcher

    def see(self, event: Event) -> None:
        """Keep an event."""
        self._number += 1
        if isinstance(event, LogLine):
            if event.level in self._levels:
                self._lines_seen += 1
                self._lines.append((self._number, event))
        elif isinstance(event, _WANTED):
            self._events.append((self._number, event))
            if isinstance(event, RunStarted | Verified):
                self._plan = event.name
            if isinstance(event, RunStarted):
                self._side_by_side = any(info.kind not in _TAKES_TURNS for info in event.steps)

    def close(self) -> None:
        """Nothing: what is to be sent has been, by `finish`."""

    # -- as tracing

    @contextmanager
    def scope(self, span: Span) -> Iterator[None]:
        """While open, spans and log records that this thread makes belong to `span`.

        The SDK is loaded, and becomes the process's except where user code has brought its own, when that code
        first imports OpenTelemetry: most of it never does. Where steps of one plan may do so side by side it is
        loaded at once, since a thread cannot be given its span by another.
        """
        outer = _ATTACHED.set(None)
        try:
            if self._sdk is not None or self._side_by_side or arrival.arrived():
                self._attach(span)
                yield
            else:
                with arrival.awaiting(lambda: self._attach(span)):
                    yield
        finally:
            # Not there where it was attached inside an asyncio task: that context is gone with the task.
            if (token := _ATTACHED.get()) is not None:
                from opentelemetry.context import detach  # noqa: PLC0415 - loaded by then

                detach(token)
            _ATTACHED.reset(outer)

    def _attach(self, span: Span) -> None:
        if not self._serve_user_code():
            return
        from opentelemetry.context import attach  # noqa: PLC0415 - loaded above

        from inithold.watchers.telemetry.sdk import context_of  # noqa: PLC0415 - loaded above

        _ATTACHED.set(attach(context_of(span)))

    def _serve_user_code(self) -> bool:
        with self._loading:
            if self._sdk is None and not self._broken:
                try:
                    self._load().serve_user_code()
                except Exception as error:  # noqa: BLE001 - telemetry must not stop the user's code
                    self._broken = True
                    self._on_warning(f"OpenTelemetry cannot be loaded: {type(error).__name__}: {error}")
        return not self._broken

    def _load(self) -> Sdk:
        if self._sdk is None:
            arrival.stop_awaiting()
            from inithold.watchers.telemetry.sdk import Sdk  # noqa: PLC0415 - not before it is needed

            self._sdk = Sdk(self._exporters, self._plan, self._instance)
        return self._sdk

    # -- the end

    def finish(self, bound_seconds: float, retry: bool, stop: Callable[[], bool]) -> str | None:
        """Send everything seen so far and return in time, whatever the exporters do.

        Args:
            bound_seconds: how long it may take in all, imports included.
            retry: whether to try again meanwhile what did not arrive.
            stop: whether retrying is to end early; asked only while retrying.

        Returns:
            one line about what was given up; None where everything arrived or there was nothing to send.
        """
        if not any(isinstance(event, RunStarted | Verified) for _, event in self._events):
            return None
        from inithold.watchers.telemetry.delivery import Patience, in_one_line, summary  # noqa: PLC0415
        from inithold.watchers.telemetry.quiet import QUIET  # noqa: PLC0415

        QUIET.begin()
        patience = Patience(bound_seconds, stop if retry else _never)
        prepared: SimpleQueue[list[Delivery] | Exception] = SimpleQueue()
        ready = Flag()
        Thread(target=self._prepare, args=(prepared, ready), daemon=True, name="inithold-telemetry").start()
        if not patience.wait(ready):
            return f"telemetry was not sent: it was not made within {bound_seconds:g} s"
        made = prepared.get()
        if isinstance(made, Exception):
            QUIET.end()
            return in_one_line(f"telemetry was not sent: {type(made).__name__}: {made}")
        _deliver(made, patience, retry)
        line = summary(made, patience)
        if all(delivery.done.is_set() for delivery in made):
            QUIET.end()
        else:
            # What was left behind has nothing to say either.
            Thread(target=_end_quiet_after, args=(made,), daemon=True, name="inithold-telemetry-rest").start()
        return line

    def _prepare(self, prepared: SimpleQueue[list[Delivery] | Exception], ready: Flag) -> None:
        try:
            prepared.put(self._make_deliveries())
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: said, never in the way
            prepared.put(error)
        finally:
            ready.set()

    def _make_deliveries(self) -> list[Delivery]:
        from inithold.watchers.telemetry.account import Account  # noqa: PLC0415 - not before it is needed
        from inithold.watchers.telemetry.collect import deliveries  # noqa: PLC0415 - not before it is needed

        with self._loading:
            sdk = self._load()
        events, self._events = self._events, []
        lines, self._lines = self._lines, deque(maxlen=MOST_LINES)
        left_out, self._lines_seen = self._lines_seen - len(lines), 0
        account = Account(event for _, event in heapq.merge(events, lines))
        return deliveries(sdk, self._exporters, account, left_out)


def _deliver(made: Sequence[Delivery], patience: Patience, retry: bool) -> None:
    for delivery in made:
        delivery.start(patience, retry=retry)
    for delivery in made:
        if not patience.wait(delivery.done):
            return


def _end_quiet_after(made: Sequence[Delivery]) -> None:
    from inithold.watchers.telemetry.quiet import QUIET  # noqa: PLC0415 - loaded before

    for delivery in made:
        delivery.done.wait()
    QUIET.end()


def _never() -> bool:
    return False
