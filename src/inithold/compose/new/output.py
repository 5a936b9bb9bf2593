"""Where the draft goes: a new file, whole or not at all, or standard output."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from inithold.errors import UsageError

STANDARD_OUTPUT = "-"
_MODE = 0o644


def refuse_existing(target: str) -> None:
    """Refuse to write over anything, be it a link that leads nowhere.

    Raises:
        UsageError: something of that name is there.
    """
    if target != STANDARD_OUTPUT and os.path.lexists(target):
        raise _exists(target)


def write_new(target: str, text: str) -> None:
    """Write a file that was not there.

    Args:
        target: its path.
        text: its content.

    Raises:
        UsageError: something of that name is there by now, or it cannot be written; nothing was.
    """
    path = Path(target)
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(_MODE & ~_umask())
        _give_name(temporary, path)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}; nothing was written") from error
    finally:
        if temporary is not None:
            with suppress(FileNotFoundError):
                temporary.unlink()


def _give_name(temporary: Path, path: Path) -> None:
    try:
        # Unlike a rename it never replaces what somebody else put there meanwhile.
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        if os.path.lexists(path):
            raise FileExistsError from None
        temporary.rename(path)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _exists(target: str) -> UsageError:
    return UsageError(
        f"{target} is there already; nothing was written",
        hint="name another file with -o, or - to print the draft",
    )
