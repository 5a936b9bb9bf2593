"""The termination log: Kubernetes shows `/dev/termination-log` in `kubectl describe pod`.

See https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/.
"""

from __future__ import annotations

import os
from contextlib import suppress

from inithold.redaction.sanitize import sanitize
from inithold.text.files import refuse_irregular

DEFAULT = "/dev/termination-log"
MOST_BYTES = 4096
"""The most that Kubernetes shows of it."""
_END_KEPT = 1024
"""Bytes kept of a longer message's end, which says what to do next."""
_CUT = "\n...\n"


def write(text: str) -> None:
    """Write a scrubbed message to the termination log if it exists; a long message loses its middle.

    `INITHOLD_TERMINATION_LOG` names another file, which is created if missing; `none` or empty disables it.
    """
    path = os.environ.get("INITHOLD_TERMINATION_LOG", DEFAULT)
    if path in ("", "none"):
        return
    create = 0 if path == DEFAULT else os.O_CREAT
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | create, 0o644)
        with os.fdopen(descriptor, "wb") as stream:
            refuse_irregular(os.fstat(descriptor).st_mode, path)
            os.ftruncate(descriptor, 0)
            data = (sanitize(text).strip("\n") + "\n").encode("utf-8", "replace")
            if len(data) > MOST_BYTES:
                head = data[: MOST_BYTES - _END_KEPT - len(_CUT)].decode(errors="ignore")
                data = (head + _CUT + data[-_END_KEPT:].decode(errors="ignore")).encode()
            stream.write(data)
