"""The sender: a process that takes the events of a run, and sends what they come to when the run is over.

While the run goes on it only reads, and has imported next to nothing. After the last message, or the end of its
input where the run died, `delivery` goes on. It ends with the process that holds.
"""

from __future__ import annotations

from collections import deque

from inithold.process.satellite import Channel

TYPE_CHECKING = False
"""As in `typing`, which is slow to import."""
if TYPE_CHECKING:
    from typing import Any

MOST_LINES = 10_000
"""How many log lines are kept until they are sent, the newest: what matters is the end of a failing command."""


def main(channel: Channel) -> int:
    """Read to the end, then send."""
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
        from inithold.watchers.telemetry.delivery import Delivery  # noqa: PLC0415 - not while the run goes on

        in_order = sorted([*kept, *lines], key=lambda each: each[0])
        Delivery(channel, [message for _, message in in_order], dropped).run()
    return 0
