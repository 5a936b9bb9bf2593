"""A failed command's last message: on standard error, and in the platform's termination log."""

from __future__ import annotations

from collections.abc import Callable

from inithold.hold.reaper import REAPER
from inithold.marker.file import path_from
from inithold.marker.owner import other_owner
from inithold.process import exits, termination_log


def leave(text: str) -> None:
    """Write a message to the termination log.

    Not for a command beside a container's own init (`kubectl exec`): its failure does not end the container.
    """
    if other_owner(path_from(None), REAPER.holding_pid) is None:
        termination_log.write(text)


def reported(action: Callable[[], int]) -> int:
    """Run a command with `exits.reported`; if it fails, its error message goes to the termination log, too."""
    code = exits.reported(action)
    if code in (1, 2, 126, 127) and (text := exits.said()):
        leave(text)
    return code
