"""Virtual environments of tools from the index, kept between runs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import venv
from pathlib import Path


def environment(name: str, *commands: tuple[str, ...]) -> Path:
    """The `bin` folder of an environment; if it is missing, these commands, run in its folder, make it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inithold-tests"
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / name
    programs = made / "bin"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "complete").exists():
            venv.create(made, with_pip=True, clear=True)
            variables = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
            for command in commands:
                subprocess.run(["env", *command], cwd=made, env=variables, check=True, timeout=500)
            (made / "complete").touch()
    return programs
