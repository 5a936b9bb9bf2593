"""The process groups of commands that run now, for the moment when nothing is waited for any more."""

from __future__ import annotations

import os
import signal

RUNNING: set[int] = set()
"""Their ids; whoever starts one adds it and takes it out once it has ended."""


def kill_all() -> None:
    """Kill every one of them at once."""
    for group in tuple(RUNNING):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
