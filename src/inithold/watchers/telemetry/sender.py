"""The sender: a process that collects a run's events, and sends them as telemetry when the run is over.

During the run it only reads, and imports next to nothing. After the last message, or the end of its input if the
run died, `delivery` takes over. It ends with the process that holds.
"""

from __future__ import annotations

from collections import deque

from inithold.process.imports import collect_less_often
from inithold.process.satellite import Channel

TYPE_CHECKING = False
"""`typing` is slow to import."""
if TYPE_CHECKING:
    from typing import Any

MOST_LINES = 10_000
"""Log lines to keep; the newest ones, because the end of a failing command's output matters most."""


def main(channel: Channel) -> int:
    """Read all messages, then send."""
    kept: list[tuple[int, dict[str, Any]]] = []
    lines: deque[tuple[int, dict[str, Any]]] = deque(maxlen=MOST_LINES)
    number = dropped = 0
    while (message := channel.receive()) is not None:
        number += 1
        if message["type"] == "LogLine":
            dropped += len(lines) == MOST_LINES
            lines.append((number, message))
        else:
            kept.append((number, message))
    if kept:
        collect_less_often()
        from inithold.watchers.telemetry.delivery import deliver_messages  # noqa: PLC0415 - not during the run

        in_order = sorted([*kept, *lines], key=lambda each: each[0])
        deliver_messages(channel, [message for _, message in in_order], dropped)
    return 0
