"""Commands as another user, for tests that run as root."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

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
