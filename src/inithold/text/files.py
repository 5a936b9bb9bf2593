"""Reading a file that somebody names. Standard library only, and little of it: a health check imports this."""

from __future__ import annotations

import io
import os
import stat

_EISDIR, _EINVAL = 21, 22
"""The same everywhere; `errno` would be one more import."""


def read_regular(path: str, *, most: int = -1, follow: bool = True) -> bytes:
    """Read a regular file. A named pipe would block forever, a device may never end.

    Args:
        path: of the file.
        most: bytes to read at most; all of them if negative.
        follow: whether a symbolic link is followed.

    Raises:
        OSError: it cannot be read, or is no regular file; `strerror` says what it is instead.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as stream:
        refuse_irregular(os.fstat(descriptor).st_mode, path)
        return stream.read(most)


def read_regular_text(path: str) -> str:
    """Read a regular file of UTF-8 text, without a byte order mark and with `\\n` for every end of line.

    Raises:
        OSError: as `read_regular` does.
        UnicodeDecodeError: it is not UTF-8.
    """
    return io.TextIOWrapper(io.BytesIO(read_regular(path)), encoding="utf-8-sig").read()


def refuse_irregular(mode: int, path: str) -> None:
    """Refuse what is no regular file.

    Args:
        mode: `st_mode` of what is there.
        path: of it, for the error.

    Raises:
        OSError: it is something else; `strerror` says what.
    """
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(_EISDIR, os.strerror(_EISDIR), path)
    if not stat.S_ISREG(mode):
        what = "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OSError(_EINVAL, f"it is {what}, not a file", path)
