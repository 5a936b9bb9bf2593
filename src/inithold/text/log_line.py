"""A line of the plain log."""

from __future__ import annotations

import time


def log_line(at: float, step: str | None, text: str, width: int) -> str:
    """The line `TIME  STEP  TEXT`, with its line feed.

    Args:
        at: Unix time in seconds.
        step: whose line it is; None for the run's.
        text: what is said.
        width: of the column of ids.
    """
    seconds, milliseconds = divmod(int(at * 1000), 1000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{milliseconds:03}Z  {step or 'init':<{width}}  {text}\n"
