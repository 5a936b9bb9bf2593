"""Creates spans, metrics and log records with the SDK, and sends them until the time is up."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from threading import Condition, Thread
from typing import Any

import msgspec

from inithold.process.satellite import Channel
from inithold.redaction.redact import SECRETS
from inithold.runner.events import Event, LogLine
from inithold.text.duration import spoken
from inithold.watchers.console import console
from inithold.watchers.telemetry.export import Export, in_one_line
from inithold.watchers.telemetry.settings import exporters, learn_secrets, listed
from inithold.watchers.telemetry.watcher import SENT, Begin, End

DIED_SECONDS = 3.0
"""Seconds to try if the run died without a last message."""
BATCH = 512
"""Spans or log records per request, as in the SDK, because collectors limit the size of a message."""


def deliver_messages(channel: Channel, messages: list[dict[str, Any]], dropped: int) -> None:
    """In the sender: send what a run has sent, and say what could not be delivered.

    Args:
        channel: the channel to the run, which gets the answer if it waits for one; otherwise it is a log line.
        messages: everything that came, in order.
        dropped: how many log lines were dropped.
    """
    begin = msgspec.convert(messages.pop(0), Begin)
    end = End(time.monotonic() + DIED_SECONDS, retry=False, answer=False, dropped=0)
    if messages and messages[-1]["type"] == "End":
        end = msgspec.convert(messages.pop(), End)
    types = {event.__name__: event for event in SENT}
    events = [msgspec.convert(message, types[message["type"]]) for message in messages]
    problem = deliver(events, begin.instance, until=end.until, retry=end.retry, dropped=dropped + end.dropped)
    sys.stdout.flush()
    if end.answer:
        # On this answer the run kills this process.
        channel.send({"undelivered": problem})
    elif problem is not None:
        console(begin.log_format, "warning").see(LogLine(text=problem, level="warning"))


def deliver(
    events: Sequence[Event], instance: str, *, until: float, retry: bool = False, dropped: int = 0
) -> str | None:
    """Send the telemetry of a process. Exporters that are blocked are left behind, so exit soon after.

    Args:
        events: the events of the process, in order.
        instance: `service.instance.id`, unless the variables set one.
        until: the deadline on the monotonic clock.
        retry: whether to retry failed exports until then.
        dropped: how many log lines are missing.

    Returns:
        one line about what was not delivered; None if everything arrived.
    """
    began = time.monotonic()
    left = max(0.0, until - began)
    # A last resort if a library keeps the interpreter lock: SIGALRM ends the process.
    signal.setitimer(signal.ITIMER_REAL, left + 1)
    changed = Condition()
    exports: list[Export] | None = None
    problem = ""

    def export_all() -> None:
        nonlocal exports, problem
        made: list[Export] = []
        try:
            made = _exports(events, instance, dropped, retry, changed)
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: report it
            problem = in_one_line(f"telemetry was not sent: {type(error).__name__}: {error}")
        with changed:
            exports = made
            for export in made:
                export.start()
            changed.notify_all()

    Thread(target=export_all, daemon=True, name="inithold-telemetry").start()
    with changed:
        changed.wait_for(lambda: exports is not None and all(export.given_up for export in exports), left)
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.monotonic() - began
        if exports is None:
            return f"telemetry was not sent: it was not made within {spoken(seconds)}"
        return problem or summary(exports, seconds)


def _exports(
    events: Sequence[Event], instance: str, dropped: int, retry: bool, changed: Condition
) -> list[Export]:
    SECRETS.add_environment(os.environ)
    learn_secrets(os.environ)
    # Silence the libraries; one line of ours says it all.
    warnings.simplefilter("ignore")
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if any(name.startswith("OTEL_") and name.endswith("_CERTIFICATE") for name in os.environ):
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            os.environ.pop(name, None)  # `requests` would prefer these
    if not sys.flags.safe_path:
        # Files in the working directory or a script's folder must not shadow the SDK's libraries.
        del sys.path[0]
    from inithold.watchers.telemetry.signals import record  # noqa: PLC0415 - the SDK, after all that

    spans, log_records, metrics = record(events, instance, dropped)
    batches: dict[str, list[Any]] = {
        "traces": _in_batches(spans),
        "logs": _in_batches(log_records),
        "metrics": metrics,
    }
    return [
        Export(exporter, batches[exporter.signal], retry=retry, changed=changed)
        for exporter in exporters(os.environ, lambda _: None)
        if batches[exporter.signal]
    ]


def _in_batches(items: Sequence[Any]) -> list[list[Any]]:
    """inithold's own come first: what cannot be encoded of user code's costs the batch that it is in."""
    from inithold.watchers.telemetry.sdk import SCOPE  # noqa: PLC0415 - the SDK

    own = [item for item in items if item.instrumentation_scope.name == SCOPE]
    others = [item for item in items if item.instrumentation_scope.name != SCOPE]
    return [each[start : start + BATCH] for each in (own, others) for start in range(0, len(each), BATCH)]


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
