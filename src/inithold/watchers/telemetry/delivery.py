"""The sender's work after the run: create spans, metrics and log records, and send them until the time is up.

One line says what could not be sent: an answer to the run, if it waits, otherwise a log line.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from threading import Condition, Timer
from typing import Any, NoReturn

import msgspec

from inithold.process.imports import collect_less_often
from inithold.process.satellite import Channel
from inithold.redaction.redact import SECRETS
from inithold.runner.events import LogLine
from inithold.text.duration import spoken
from inithold.watchers.console import console
from inithold.watchers.telemetry.export import Export, in_one_line
from inithold.watchers.telemetry.settings import exporters, learn_secrets, listed
from inithold.watchers.telemetry.watcher import SENT, Begin, End

DIED_SECONDS = 3.0
"""Seconds to try if the run died without a last message."""
BATCH = 512
"""Spans or log records per request, as in the SDK, because collectors limit the size of a message."""


class Delivery:
    """Creates and sends a run's telemetry.

    Args:
        channel: the channel to the run.
        messages: everything it sent, in order.
        dropped: how many log lines were dropped.
    """

    def __init__(self, channel: Channel, messages: list[dict[str, Any]], dropped: int) -> None:
        self._channel = channel
        self._began = time.monotonic()
        self._begin = msgspec.convert(messages.pop(0), Begin)
        self._end = End(self._began + DIED_SECONDS, retry=False, answer=False, dropped=0)
        if messages and messages[-1]["type"] == "End":
            self._end = msgspec.convert(messages.pop(), End)
        self._messages = messages
        self._dropped = dropped + self._end.dropped
        self._changed = Condition()
        self._exports: list[Export] | None = None

    def run(self) -> NoReturn:
        """Send until everything has arrived or the time is up."""
        collect_less_often()
        left = max(0.0, self._end.until - time.monotonic())
        # A last resort if a library keeps the interpreter lock: SIGALRM ends the process.
        signal.setitimer(signal.ITIMER_REAL, left + 1)
        deadline = Timer(left, self._finish)
        deadline.daemon = True
        deadline.start()
        try:
            exports = self._make()
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: report it
            self._finish(in_one_line(f"telemetry was not sent: {type(error).__name__}: {error}"))
        with self._changed:
            self._exports = exports
            for export in exports:
                export.start()
            self._changed.wait_for(lambda: all(export.given_up for export in exports))
        self._finish()

    def _make(self) -> list[Export]:
        SECRETS.add_environment(os.environ)
        learn_secrets(os.environ)
        # Silence the libraries; one line of ours says it all.
        warnings.simplefilter("ignore")
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        if any(name.startswith("OTEL_") and name.endswith("_CERTIFICATE") for name in os.environ):
            for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
                os.environ.pop(name, None)  # `requests` would prefer these
        from inithold.watchers.telemetry.signals import record  # noqa: PLC0415 - the SDK, after all that

        types = {event.__name__: event for event in SENT}
        events = [msgspec.convert(message, types[message["type"]]) for message in self._messages]
        self._messages.clear()
        spans, log_records, metrics = record(events, self._begin.instance, self._dropped)
        batches: dict[str, list[Any]] = {
            "traces": _in_batches(spans),
            "logs": _in_batches(log_records),
            "metrics": metrics,
        }
        return [
            Export(exporter, batches[exporter.signal], retry=self._end.retry, changed=self._changed)
            for exporter in exporters(os.environ, lambda _: None)
            if batches[exporter.signal]
        ]

    def _finish(self, problem: str | None = None) -> NoReturn:
        """Report and exit at once, because exporters may be blocked."""
        with self._changed:  # never released, so that only one thread reports
            seconds = time.monotonic() - self._began
            if problem is None and self._exports is None:
                problem = f"telemetry was not sent: it was not made within {spoken(seconds)}"
            elif problem is None and self._exports:
                problem = summary(self._exports, seconds)
            sys.stdout.flush()
            if self._end.answer:
                # On this answer the run kills this process.
                self._channel.send({"undelivered": problem})
            elif problem is not None:
                console(self._begin.log_format, "warning").see(LogLine(text=problem, level="warning"))
            os._exit(0)


def summary(exports: Sequence[Export], seconds: float) -> str | None:
    """One line about what was not delivered; None if everything arrived.

    Args:
        exports: all exports.
        seconds: how long they were tried.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for export in exports:
        if export.problem or not export.done:
            to = export.exporter
            groups.setdefault((to.address, export.problem or "no answer", to.hint), []).append(to.signal)
    parts = [
        f"{listed(signals)} to {address}: {reason}{f' ({hint})' if hint else ''}"
        for (address, reason, hint), signals in groups.items()
    ]
    return f"telemetry was not delivered within {spoken(seconds)}: {'; '.join(parts)}" if parts else None


def _in_batches(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
