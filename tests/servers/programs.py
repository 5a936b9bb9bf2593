"""Where the servers' programs are, also where distributions keep them out of PATH, and who may run them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from functools import cache
from pathlib import Path

_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/lib/rabbitmq/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/*/bin",
    "/opt/homebrew/opt/*/sbin",
    "/usr/local/opt/*/bin",
    "/usr/local/opt/*/sbin",
)


class MissingProgram(Exception):
    """A server's program is not installed."""


@cache
def program(*names: str) -> str:
    """The path of the first of these programs that is installed; of several versions the newest.

    Raises `MissingProgram`, with what to do.
    """
    for name in names:
        candidates = [path for folder in _FOLDERS for path in Path("/").glob(f"{folder[1:]}/{name}")]
        if candidates:
            return str(max(candidates, key=_version))
        if found := shutil.which(name):
            return found
    raise MissingProgram(f"{' or '.join(names)} is not installed: run tests/install-servers")


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))


def server_user() -> str | None:
    """Who runs the servers that refuse to run as root: None (no change) where we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
