"""A line of the plain log."""

from __future__ import annotations

import time


def log_line(at: float, step: str | None, text: str, width: int) -> str:
    """The line `TIME  STEP  TEXT`, with its line feed.

    Args:
        at: Unix time in seconds.
        step: the step's id; None for inithold's own lines.
        text: the message.
        width: width of the id column.
    """
    seconds, milliseconds = divmod(int(at * 1000), 1000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{milliseconds:03}Z  {step or 'init':<{width}}  {text}\n"
