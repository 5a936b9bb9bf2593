"""The last words of a command that fails: on standard error, and where the platform looks for them."""

from __future__ import annotations

import os
from collections.abc import Callable

from inithold.marker.file import path_from
from inithold.marker.owner import other_owner
from inithold.process import exits, termination_log


def leave(text: str) -> None:
    """Write last words into the termination log.

    A command beside a container's own init (`kubectl exec`) leaves it alone: it does not end the container.
    """
    if other_owner(path_from(None), os.getpid()) is None:
        termination_log.write(text)


def reported(action: Callable[[], int]) -> int:
    """Run a command as `exits.reported` does; where it fails, what it said becomes its last words."""
    code = exits.reported(action)
    if code in (1, 2, 126, 127) and (text := exits.said()):
        leave(text)
    return code
