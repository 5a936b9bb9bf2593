"""Last words where the platform looks for them: Kubernetes shows `/dev/termination-log` in `kubectl describe pod`.

See https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from inithold.marker.file import path_from
from inithold.marker.owner import other_owner
from inithold.process import exits
from inithold.redaction.sanitize import sanitize
from inithold.text.files import refuse_irregular

DEFAULT = "/dev/termination-log"
MOST_BYTES = 4096
"""What Kubernetes shows of it."""
_ENDS_KEPT = 1024
"""Bytes of the end that are kept of longer words: it says what to do next."""
_CUT = "\n...\n"
_FAILURES = (1, 2, 126, 127)


def leave(text: str) -> None:
    """Write last words, scrubbed, where there is a file for them; a longer text loses its middle.

    `INITHOLD_TERMINATION_LOG` names another file, which is made if it is not there; `none` or nothing for none.
    A command beside a container's own init (`kubectl exec`) leaves the file alone: it does not end the container.
    """
    path = os.environ.get("INITHOLD_TERMINATION_LOG", DEFAULT)
    if path in ("", "none") or other_owner(path_from(None), os.getpid()) is not None:
        return
    create = 0 if path == DEFAULT else os.O_CREAT
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | create, 0o644)
        with os.fdopen(descriptor, "wb") as stream:
            refuse_irregular(os.fstat(descriptor).st_mode, path)
            os.ftruncate(descriptor, 0)
            stream.write(_fitting(sanitize(text).strip("\n") + "\n"))


def reported(action: Callable[[], int]) -> int:
    """Run a command; where it fails, what it said of that becomes its last words, too.

    Args:
        action: returns an exit code; see `inithold.process.exits.reported`.
    """
    code = exits.reported(action)
    if code in _FAILURES and (text := exits.said()):
        leave(text)
    return code


def _fitting(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if len(data) <= MOST_BYTES:
        return data
    head = data[: MOST_BYTES - _ENDS_KEPT - len(_CUT)].decode(errors="ignore")
    return (head + _CUT).encode() + data[-_ENDS_KEPT:].decode(errors="ignore").encode()
