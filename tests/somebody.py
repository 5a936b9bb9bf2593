"""Commands as another user, for tests that run as root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

NOBODY = 65534


def somebody(uid: int = NOBODY) -> list[str]:
    """The words to put before a command so that it runs as this user, without rights."""
    become = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    # Below a folder of root's alone, nobody could start inithold: they may read everything then, and no more.
    reads = (
        [] if _can_start_inithold() else ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    )
    return [*become, *reads]


@cache
def _can_start_inithold() -> bool:
    become = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    command = [*become, sys.executable, "-c", "import inithold"]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody else for a moment, where this is root, who may read and write everything.

    What is done meanwhile is to have been done once before: below a folder of root's alone, nobody can import it.
    """
    if os.geteuid() != 0:
        yield
        return
    # A test that enters a folder goes back to this one, and nobody may not enter a folder of root's.
    before = Path.cwd()
    os.chdir("/")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.chdir(before)
