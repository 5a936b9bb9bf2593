"""Turns what was seen into deliveries: the work of the thread that telemetry has at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from inithold.watchers.telemetry import logs, metrics, traces
from inithold.watchers.telemetry.account import Account
from inithold.watchers.telemetry.delivery import Delivery, NotDelivered
from inithold.watchers.telemetry.otlp import open_exporter
from inithold.watchers.telemetry.sdk import Sdk
from inithold.watchers.telemetry.settings import Exporter

BATCH = 512
"""Spans or log records in one request, as in the SDK: collectors limit the size of a message."""
FOREIGN_SECONDS = 3.0
"""How long the flush of a provider that user code set up is trusted to take."""


def deliveries(sdk: Sdk, exporters: Sequence[Exporter], account: Account, lines_left_out: int) -> list[Delivery]:
    """Make everything that is to be sent.

    Args:
        sdk: whose providers hold what user code said.
        exporters: where to.
        account: of the runs.
        lines_left_out: how many log lines were not kept.
    """
    logs.record(sdk, account.said)
    traces.record(sdk, account.runs)
    metrics.record(sdk.meter, account.runs, account.verified)
    for count, what in (
        (lines_left_out, "log lines"),
        (sdk.spans.left_out, "spans of user code"),
        (sdk.logs.left_out, "log records of user code"),
    ):
        if count:
            logs.left_out(sdk, count, what)
    kept = {"traces": _batches(sdk.spans.take()), "logs": _batches(sdk.logs.take())}
    made = []
    for exporter in exporters:
        batches = kept[exporter.signal] if exporter.signal != "metrics" else _present(sdk.readers.data(exporter))
        if batches:
            opener = partial(open_exporter, exporter)
            made.append(Delivery(exporter.signal, exporter.address, batches, opener, exporter.hint))
    return made + list(_foreign(sdk))


def _batches(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def _present(data: Any) -> list[Any]:
    return [] if data is None else [data]


class _Flush:
    """Flushes a provider that is not ours, in one more thread: its flush need not end."""

    def __init__(self, flush: Callable[[int], bool]) -> None:
        self._flush = flush

    def send(self, batch: Any, seconds: float) -> str:  # noqa: ARG002 - it has its own
        seconds = min(seconds, FOREIGN_SECONDS)
        answer: SimpleQueue[bool] = SimpleQueue()
        Thread(target=lambda: answer.put(self._flush(round(seconds * 1000))), daemon=True).start()
        try:
            flushed = answer.get(timeout=seconds)
        except Empty:
            raise NotDelivered(f"its flush did not end within {seconds:g} s", permanent=True) from None
        if flushed is False:
            raise NotDelivered("its flush failed", permanent=True)
        return ""


def _foreign(sdk: Sdk) -> Iterator[Delivery]:
    # Nobody else would: the process is replaced or ended without its exit handlers.
    for provider in sdk.foreign:
        opener = partial(_Flush, provider.force_flush)
        yield Delivery(f"the user code's {type(provider).__name__}", "its exporter", [None], opener)
    sdk.foreign = []
