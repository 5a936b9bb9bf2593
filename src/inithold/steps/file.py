"""`file.ready`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from inithold.errors import NotYet, StepFailed
from inithold.steps.base import Change, Step, StepContext

_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_NEVER = {
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "symbolic links lead in a circle",
}


class Ready(Step, frozen=True, kw_only=True):
    """Wait until a file or folder exists.

    A symbolic link counts only if its target exists. The content is not checked: have the writer create the file
    under another name and rename it when complete.

    Args:
        path: path of the file or folder, relative to the working directory.

    Example:
        ```yaml
        - id: certificates
          uses: file.ready
          with: {path: /certs/server.pem}
        ```
    """

    kind = "file.ready"
    looks_only = True
    waits = True
    default_timeout = 600.0
    rights = "search permission on the folders above the path"

    path: str

    def validate(self) -> Iterator[tuple[str, str]]:
        if not self.path or "\0" in self.path:
            yield "path", "expected the path of a file or folder"

    def subject(self) -> str:
        return self.path

    def check(self, context: StepContext) -> Sequence[Change]:  # noqa: ARG002 - the interface's
        path = Path(self.path)
        try:
            path.stat()
        except PermissionError as error:
            raise StepFailed(
                f"{self.path}: permission denied",
                hint=f"let user {os.geteuid()} search the folders above it",
            ) from error
        except OSError as error:
            if error.errno in _NEVER:
                raise StepFailed(
                    f"{self.path}: {_NEVER[error.errno]}", hint="look at the path with ls -l in the container"
                ) from error
            if error.errno in _ABSENT:
                link = f" is a symbolic link to {path.readlink()}, which" if path.is_symlink() else ""
                raise NotYet(f"{path}{link} does not exist") from error
            # For example a network file system that is down.
            raise NotYet(f"{self.path}: {error.strerror}") from error
        return ()
