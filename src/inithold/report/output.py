"""Where the page goes: a file, whole or not at all, or a stream."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from inithold.errors import InitholdError
from inithold.marker.file import write_whole

STANDARD_OUTPUT = "-"


def write(target: str, data: bytes) -> str:
    """Write the page.

    Args:
        target: path of a file, or `-` for standard output. A symbolic link is followed.
        data: the page.

    Returns:
        the path of the file; empty where it is a stream.

    Raises:
        InitholdError: the file cannot be written; what was there is still there.
        OSError: standard output cannot be written.
    """
    if target == STANDARD_OUTPUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return ""
    path = os.path.realpath(target)
    try:
        if _takes_a_stream(path):
            Path(path).write_bytes(data)
            return ""
        write_whole(path, data)
    except OSError as error:
        raise InitholdError(f"the report cannot be written to {target}: {error.strerror}") from None
    return path


def _takes_a_stream(path: str) -> bool:
    """Whether it is a device or a pipe, such as /dev/stdout: renaming a file over it would destroy it."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a pipe of /dev/fd is no path that pathlib resolves
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
