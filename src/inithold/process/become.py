"""Replaces this process by the command that `inithold wait` was given."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
"""`typing` is slow to import."""
if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_EXECUTABLE, NOT_FOUND = 126, 127


def become(command: Sequence[str]) -> int:
    """Exec a command: same PID, environment and standard streams.

    Returns:
        126 if it cannot be executed, 127 if it is not found; otherwise it does not return.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - that is the point
    except OSError as error:
        from inithold.process.exits import say  # noqa: PLC0415 - slow to import

        say(f"inithold wait: cannot run {command[0]}: {error.strerror}")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
