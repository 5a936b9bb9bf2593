"""Writes the fixed files, all or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.edit.layout import CannotEdit, Edit
from inithold.errors import UsageError

if TYPE_CHECKING:
    from inithold.compose.read.tree import Source


def apply_edits(edits: Sequence[Edit]) -> dict[Path, str]:
    """Return the new texts of the edited files by path.

    Raises:
        CannotEdit: two edits overlap.
    """
    texts: dict[Path, str] = {}
    for source in {edit.source.path: edit.source for edit in edits}.values():
        parts, at = [], 0
        # The sort is stable, so insertions at one place keep their order.
        own = [edit for edit in edits if edit.source.path == source.path]
        for edit in sorted(own, key=lambda each: (each.start, each.end)):
            if edit.start < at:
                raise CannotEdit("two changes touch the same text")
            parts += [source.text[at : edit.start], edit.text]
            at = edit.end
        texts[source.path] = "".join([*parts, source.text[at:]])
    return texts


def refuse_links(sources: Sequence[Source]) -> None:
    """Refuse to write through symbolic links: their targets may belong to another stack.

    Raises:
        UsageError: one of the files is a symbolic link.
    """
    for source in sources:
        if source.path.is_symlink():
            raise UsageError(
                f"{source.name} is a symbolic link to {source.path.readlink()}; nothing was written",
                hint="give the file itself with -f",
            )


def write_files(texts: dict[Path, str], sources: Sequence[Source]) -> None:
    """Replace files by their new texts, all or none; keep mode, owner and byte order mark.

    If the process is killed halfway, every file is still complete, either old or new.

    Args:
        texts: new contents by path.
        sources: the files as read; a file that changed since is not overwritten.

    Raises:
        UsageError: a file changed meanwhile or cannot be written; no file was changed.
    """
    known = {source.path: source for source in sources}
    staged: list[tuple[Path, Path, Source]] = []
    name = ""
    try:
        for path, text in texts.items():
            source, name = known[path], known[path].name
            if path.read_bytes() != source.data:
                raise UsageError(f"{name} was changed while it was being fixed; nothing was written")
            new = _stage(path, source.encoded(text))
            staged.append((new, new.with_name(f"{new.name}.old"), source))
        with ExitStack() as undo:
            for new, old, source in staged:
                path, name = source.path, source.name
                try:
                    # A hard link: restoring from it needs no disk space.
                    old.hardlink_to(path)
                except OSError:
                    # The file system has no hard links.
                    shutil.copy2(path, old)
                new.replace(path)
                undo.callback(_put_back, old, path)
            undo.pop_all()
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror or error}; nothing was written") from error
    finally:
        for new, old, _ in staged:
            new.unlink(missing_ok=True)
            old.unlink(missing_ok=True)
    for folder in {path.parent for path in texts}:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_back(old: Path, path: Path) -> None:
    try:
        old.replace(path)
    except OSError as error:
        raise UsageError(f"{path} was written and cannot be put back: {error.strerror or error}") from error


def _stage(path: Path, data: bytes) -> Path:
    status = path.stat()
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied")
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(status.st_mode & 0o7777)
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.chown(temporary, status.st_uid, status.st_gid)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
