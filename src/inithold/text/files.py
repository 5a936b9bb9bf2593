"""Safe reading of files that users name. Imports little, because a health check imports this."""

from __future__ import annotations

import io
import os
import stat

_EISDIR, _EINVAL = 21, 22
"""The same on every platform; saves importing `errno`."""


def read_regular(path: str, *, most: int = -1, follow: bool = True) -> bytes:
    """Read a file, but only a regular one: a named pipe could block forever, a device may never end.

    Args:
        most: the most bytes to read; negative for all.
        follow: whether to follow a symbolic link.

    Raises:
        OSError: it cannot be read, or is not a regular file; `strerror` says what it is instead.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as stream:
        refuse_irregular(os.fstat(descriptor).st_mode, path)
        return stream.read(most)


def read_regular_text(path: str) -> str:
    """Read a regular UTF-8 file, without a byte order mark and with `\\n` as line ends.

    Raises:
        OSError: as for `read_regular`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return io.TextIOWrapper(io.BytesIO(read_regular(path)), encoding="utf-8-sig").read()


def refuse_irregular(mode: int, path: str) -> None:
    """Raise unless it is a regular file.

    Raises:
        OSError: it is something else; `strerror` says what.
    """
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(_EISDIR, os.strerror(_EISDIR), path)
    if not stat.S_ISREG(mode):
        what = "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OSError(_EINVAL, f"it is {what}, not a file", path)
