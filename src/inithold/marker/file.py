"""The marker file: removed first, written atomically, never through a symbolic link."""

from __future__ import annotations

import os

from inithold.marker.identity import MOST_BYTES
from inithold.text.files import read_regular, refuse_irregular

DEFAULT = "/tmp/init-complete"  # noqa: S108 - existing health checks look here


def path_from(argument: str | None) -> str:
    """The marker's path: the option's value, else `INITHOLD_MARKER`, else `/tmp/init-complete`."""
    return argument or os.environ.get("INITHOLD_MARKER") or DEFAULT


def drop(path: str) -> None:
    """Remove the marker if it exists; of a symbolic link, the link itself.

    Raises:
        OSError: it exists and cannot be removed.
    """
    try:
        os.unlink(path)  # noqa: PTH108 - pathlib is slow to import
    except (FileNotFoundError, NotADirectoryError):
        return


def withdrawn(path: str) -> str:
    """The marker's path while something is not in place."""
    return f"{path}.withdrawn"


def running(path: str) -> str:
    """The file that exists during a run. It names the run's process as the marker does."""
    return f"{path}.running"


def is_kept(path: str) -> bool:
    """Whether the marker exists, published or withdrawn."""
    return os.path.lexists(path) or os.path.lexists(withdrawn(path))


def withdraw(path: str) -> None:
    """Rename the marker, so that it can be put back.

    Raises:
        OSError: it exists and cannot be renamed.
    """
    try:
        os.rename(path, withdrawn(path))  # noqa: PTH104
    except FileNotFoundError:
        return


def write_whole(path: str, data: bytes, *, sync: bool = True) -> None:
    """Write a file atomically, readable by all: write a temporary file, sync it, rename it.

    Args:
        path: the file; an existing file, or symbolic link to one, is replaced.
        sync: whether it must be complete even after the machine crashes.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    refuse_non_file(path)
    beside = write_beside(path, data, sync=sync)
    try:
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        drop(beside)
        raise


def write_beside(path: str, data: bytes, *, sync: bool = True) -> str:
    """Write the temporary file of `write_whole`, and return its path."""
    beside = f"{path}.{os.getpid()}.new"
    # Perhaps left by a killed process with the same pid.
    drop(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # Whatever the umask.
            os.fchmod(descriptor, 0o644)
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(descriptor)
    except BaseException:
        drop(beside)
        raise
    return beside


def refuse_non_file(path: str) -> None:
    """Refuse to replace anything but a file: replacing the link `/dev/stdout` would break it for all processes.

    Raises:
        OSError: at `path` is a folder, a pipe or a device, or a link to one.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        # Nothing there, or a dangling link.
        return
    refuse_irregular(mode, path)


def refuse_foreign(path: str) -> None:
    """Refuse to replace any file but a marker or record (one line, also by hand): it might be the plan.

    Raises:
        OSError: as `refuse_non_file`, or the file has several lines.
    """
    refuse_non_file(path)
    try:
        data = read_regular(path, most=MOST_BYTES)
    except OSError:
        # Nothing there, or unreadable; unreadable is not foreign.
        return
    if b"\n" in data.strip():
        import errno  # noqa: PLC0415 - health checks import next to nothing

        raise OSError(errno.EEXIST, "it is another file, of several lines", path)


def check_writable(path: str) -> None:
    """Check that a file can be written at `path`.

    Raises:
        OSError: its folder is missing or not writable, or `path` is something other than a file.
    """
    refuse_non_file(path)
    drop(write_beside(path, b"", sync=False))
