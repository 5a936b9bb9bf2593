"""The sender: a process that gets the events of a run, and sends what they come to when the run is over.

While the run goes on it only reads, and has imported next to nothing. After the last message, or the end of its
input where the run died, it loads the SDK and sends, until its time is up. It says what it gave up in one line: to
the run, where that waits for it, or else in the log itself. It ends with the process that holds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque

from inithold.process.satellite import Channel

TYPE_CHECKING = False
"""As in `typing`, which is slow to import."""
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from inithold.watchers.telemetry.export import Export
    from inithold.watchers.telemetry.settings import Exporter
    from inithold.watchers.telemetry.watcher import Begin, End

    Message = dict[str, Any]

MOST_LINES = 10_000
"""How many log lines are kept until they are sent, the newest: what matters is the end of a failing command."""
BATCH = 512
"""Spans or log records in one request, as in the SDK: collectors limit the size of a message."""
DIED_SECONDS = 3.0
"""How long is tried where the run died without a last message."""
_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def main(channel: Channel) -> int:
    """Read to the end, then send."""
    messages, lines_left_out = _received(channel)
    if messages:
        _Sending(channel, messages, lines_left_out).run()
    return 0


def _received(channel: Channel) -> tuple[list[Message], int]:
    """All messages, in order, but for log lines beyond the newest; how many of those there were."""
    kept: list[tuple[int, Message]] = []
    lines: deque[tuple[int, Message]] = deque(maxlen=MOST_LINES)
    number = lines_seen = 0
    while (message := channel.receive()) is not None:
        number += 1
        if message["type"] == "LogLine":
            lines_seen += 1
            lines.append((number, message))
        else:
            kept.append((number, message))
    in_order = sorted([*kept, *lines], key=lambda each: each[0])
    return [message for _, message in in_order], lines_seen - len(lines)


class _Sending:
    """What happens after the last message.

    Args:
        channel: to the run.
        messages: all that it sent.
        lines_left_out: how many log lines were not kept.
    """

    def __init__(self, channel: Channel, messages: list[Message], lines_left_out: int) -> None:
        from threading import Condition  # noqa: PLC0415 - not while the run goes on

        import msgspec  # noqa: PLC0415

        from inithold.watchers.telemetry.watcher import Begin, End  # noqa: PLC0415

        self._channel = channel
        self._began = time.monotonic()
        self._begin: Begin = msgspec.convert(messages.pop(0), Begin)
        last = messages.pop() if messages and messages[-1]["type"] == "End" else None
        self._end: End = (
            msgspec.convert(last, End)
            if last
            else End(self._began + DIED_SECONDS, retry=False, answer=False, dropped=0)
        )
        self._messages = messages
        self._lines_left_out = lines_left_out
        self._changed = Condition()
        self._exports: list[Export] | None = None

    def run(self) -> NoReturn:
        """Send, until everything arrived or the time is up."""
        from threading import Timer  # noqa: PLC0415 - as above

        from inithold.process.imports import collect_less_often  # noqa: PLC0415

        collect_less_often()
        # Whatever a library does, also where it keeps the interpreter to itself.
        left = max(0.0, self._end.until - time.monotonic())
        signal.setitimer(signal.ITIMER_REAL, left + 1)
        deadline = Timer(left, self._give_up)
        deadline.daemon = True
        deadline.start()
        try:
            self._start()
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: said, never in the way
            from inithold.watchers.telemetry.export import in_one_line  # noqa: PLC0415

            with self._changed:
                self._finish(in_one_line(f"telemetry was not sent: {type(error).__name__}: {error}"))
        with self._changed:
            self._changed.wait_for(lambda: all(export.given_up for export in self._exports or ()))
        self._give_up()

    def _start(self) -> None:
        """Make everything and begin to send it."""
        import warnings  # noqa: PLC0415 - as above

        from inithold.redaction.redact import SECRETS  # noqa: PLC0415
        from inithold.watchers.telemetry.settings import exporters, learn_secrets  # noqa: PLC0415

        SECRETS.add_environment(os.environ)
        learn_secrets(os.environ)
        # What the libraries would say, one line of ours says.
        warnings.simplefilter("ignore")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        if any(name.startswith("OTEL_") and name.endswith("_CERTIFICATE") for name in os.environ):
            for name in _CA_BUNDLES:
                # `requests` would prefer them.
                os.environ.pop(name, None)
        from inithold.watchers.telemetry.export import LOG, Export  # noqa: PLC0415

        LOG.install()
        named = exporters(os.environ, lambda _: None)
        made = [
            Export(exporter, batches, retry=self._end.retry, changed=self._changed)
            for exporter, batches in self._batches(named)
        ]
        with self._changed:
            self._exports = made
        for export in made:
            export.start()

    def _batches(self, exporters: tuple[Exporter, ...]) -> list[tuple[Exporter, list[Any]]]:
        """What goes to each exporter."""
        import json  # noqa: PLC0415 - as above

        import msgspec  # noqa: PLC0415

        from inithold.runner.events import FromUserCode, RunStarted, Verified  # noqa: PLC0415
        from inithold.watchers.telemetry import logs, metrics, traces  # noqa: PLC0415
        from inithold.watchers.telemetry.account import Account  # noqa: PLC0415
        from inithold.watchers.telemetry.sdk import Sdk  # noqa: PLC0415
        from inithold.watchers.telemetry.watcher import SENT  # noqa: PLC0415

        types = {event.__name__: event for event in SENT}
        events = [msgspec.convert(message, types[message["type"]]) for message in self._messages]
        self._messages = []
        plan = next((event.name for event in reversed(events) if isinstance(event, RunStarted | Verified)), "")
        sdk = Sdk(plan, self._begin.instance)
        account = Account(event for event in events if not isinstance(event, FromUserCode))
        of_user_code: dict[str, list[Any]] = {"traces": [], "logs": [], "metrics": []}
        for event in events:
            if isinstance(event, FromUserCode):
                of_user_code[event.signal].append(json.loads(event.body))
        for fields in (each for body in of_user_code["logs"] for each in body):
            logs.record_of_user_code(sdk, fields)
        logs.record(sdk, account.log_entries)
        if left_out := self._lines_left_out + self._end.dropped:
            logs.left_out(sdk, left_out)
        for fields in (each for body in of_user_code["traces"] for each in body):
            traces.record_of_user_code(sdk, fields)
        traces.record(sdk, account.runs)
        metrics.record(sdk.meter, account.runs, account.verified)
        batches: dict[str, list[Any]] = {
            "traces": _in_batches(sdk.spans),
            "logs": _in_batches(sdk.logs),
            "metrics": metrics.batches(sdk, of_user_code["metrics"]),
        }
        return [(exporter, batches[exporter.signal]) for exporter in exporters if batches[exporter.signal]]

    def _give_up(self) -> NoReturn:
        from inithold.text.duration import spoken  # noqa: PLC0415 - as above
        from inithold.watchers.telemetry.export import summary  # noqa: PLC0415

        took = time.monotonic() - self._began
        with self._changed:
            if self._exports is None:
                self._finish(f"telemetry was not sent: it was not made within {spoken(took)}")
            else:
                self._finish(summary(self._exports, took))

    def _finish(self, line: str | None) -> NoReturn:
        """Say it, and end at once: exporters may be blocked. Called with the lock, so that it is said once."""
        sys.stdout.flush()
        if self._end.answer:
            # Which has it killed.
            self._channel.send({"undelivered": line})
        elif line is not None:
            from inithold.runner.events import LogLine  # noqa: PLC0415 - as above
            from inithold.watchers.console import console  # noqa: PLC0415

            console(self._begin.log_format, "warning").see(LogLine(text=line, level="warning"))
        os._exit(0)


def _in_batches(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
