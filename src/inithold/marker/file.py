"""The marker file: dropped first, published whole, never through a symbolic link."""

from __future__ import annotations

import os

from inithold.text.files import refuse_irregular

DEFAULT = "/tmp/init-complete"  # noqa: S108 - the place that health checks in the field already look at


def path_from(argument: str | None) -> str:
    """The marker's path: the option's value, else `INITHOLD_MARKER`, else `/tmp/init-complete`."""
    return argument or os.environ.get("INITHOLD_MARKER") or DEFAULT


def drop(path: str) -> None:
    """Remove the marker if it is there; a symbolic link is removed itself, not what it points to.

    Raises:
        OSError: it is there and cannot be removed.
    """
    try:
        os.unlink(path)  # noqa: PTH108 - this runs before anything is imported
    except (FileNotFoundError, NotADirectoryError):
        return


def withdrawn(path: str) -> str:
    """Where a marker is kept while the environment is not as it promises."""
    return f"{path}.withdrawn"


def running(path: str) -> str:
    """The file that stands for a run that is going on. It names its process as the marker does."""
    return f"{path}.running"


def is_kept(path: str) -> bool:
    """Whether the marker is there, in its place or withdrawn."""
    return os.path.lexists(path) or os.path.lexists(withdrawn(path))


def withdraw(path: str) -> None:
    """Take the marker away so that it can be put back.

    Raises:
        OSError: it is there and cannot be renamed.
    """
    try:
        os.rename(path, withdrawn(path))  # noqa: PTH104
    except FileNotFoundError:
        return


def write_whole(path: str, data: bytes, *, mode: int = 0o644, sync: bool = True) -> None:
    """Put a file in place at once: written beside, synced, renamed.

    Args:
        path: the file; a file or a symbolic link to one that is there is replaced.
        data: its content.
        mode: its permission bits, whatever the umask.
        sync: whether it must also be whole after a crash of the machine.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    refuse_odd(path)
    beside = write_beside(path, data, mode=mode, sync=sync)
    try:
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        drop(beside)
        raise


def write_beside(path: str, data: bytes, *, mode: int = 0o644, sync: bool = True) -> str:
    """Write the file that is to be renamed to `path`, and sync it; see `write_whole`.

    Returns:
        its path.
    """
    beside = f"{path}.{os.getpid()}.new"
    # Left by a process of this number that was killed before the rename.
    drop(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(descriptor)
    except BaseException:
        drop(beside)
        raise
    return beside


def refuse_odd(path: str) -> None:
    """Refuse to put a file in the place of anything but a file: `/dev/stdout` is a link, and for all processes.

    Raises:
        OSError: there is a folder, a pipe or a device, or a link to one.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        # Nothing, or a link that leads nowhere.
        return
    refuse_irregular(mode, path)


def check_writable(path: str) -> None:
    """Make sure that a file can be put at `path`.

    Raises:
        OSError: its folder is missing or cannot be written, or something else than a file is in its place.
    """
    refuse_odd(path)
    drop(write_beside(path, b"", sync=False))
