"""`ansible-playbook` from the index, in a virtual environment of its own that is kept between runs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import venv
from pathlib import Path

REQUIREMENTS = ("ansible>=11", "psycopg[binary]>=3.2")


def ansible_playbook() -> Path:
    """The program, installed (50 MB) where it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inithold-tests"
    cache.mkdir(parents=True, exist_ok=True)
    environment = cache / "ansible"
    with (cache / "ansible.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (environment / "complete").exists():
            venv.create(environment, with_pip=True, clear=True)
            pip = (environment / "bin" / "python", "-m", "pip", "install", "--quiet", *REQUIREMENTS)
            subprocess.run(pip, check=True, timeout=500)
            (environment / "complete").touch()
    return environment / "bin" / "ansible-playbook"
