"""A pid namespace of a test's own, in which inithold is PID 1 as in a container.

@needs_leave
def test_something(run_inithold: Inithold) -> None:
    init = run_inithold.start("run", prefix=UNSHARE)
    os.kill(pid_one(init), signal.SIGTERM)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from servers.inithold import Running

UNSHARE = [
    shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin") or "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


def _may_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_leave = pytest.mark.skipif(not _may_unshare(), reason="needs leave to make a pid namespace")


def pid_one(init: Running) -> int:
    """The process that is PID 1 in the namespace: the child of unshare."""
    return int(Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()[0])


def inside(init: Running) -> list[str]:
    """What is put before a command to run it in the namespace, as `docker exec` does."""
    return ["nsenter", "-t", str(pid_one(init)), "-p", "-m"]
