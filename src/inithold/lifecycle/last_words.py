"""The last words of a command that fails: on standard error, and where the platform looks for them."""

from __future__ import annotations

import os
from collections.abc import Callable

from inithold.marker.file import path_from
from inithold.marker.owner import other_owner
from inithold.process import exits, termination_log

_FAILURES = (1, 2, 126, 127)


def leave(text: str) -> None:
    """Write last words into the termination log.

    A command beside a container's own init (`kubectl exec`) leaves it alone: it does not end the container.
    """
    if other_owner(path_from(None), os.getpid()) is None:
        termination_log.write(text)


def reported(action: Callable[[], int]) -> int:
    """Run a command; where it fails, what it said of that becomes its last words, too.

    Args:
        action: returns an exit code; see `inithold.process.exits.reported`.
    """
    code = exits.reported(action)
    if code in _FAILURES and (text := exits.said()):
        leave(text)
    return code
