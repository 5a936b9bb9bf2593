"""A Compose project of a test's own, of files that it writes or lays out, with the Compose of a given version."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from e2e.engine import TOOL, Engine

COMPOSE_2, FIRST_WITH_HOOKS, COMPOSE_5 = "2.40.3", "5.3.1", "5.6.1"


class Project:
    """Compose commands of one project.

    Args:
        engine: where it runs.
        folder: of its files.
        variables: of its environment.
        version: of Compose; the one that is there where empty.
    """

    def __init__(
        self, engine: Engine, folder: Path, variables: Mapping[str, str] | None = None, version: str = ""
    ) -> None:
        if not engine.stand_ins:
            pytest.skip("these stacks are of the stand-in images, which this engine has not")
        self.folder = folder
        self.name = f"ihproject-{uuid.uuid4().hex[:10]}"
        own = {name: value for name, value in engine.environment.items() if not name.startswith("COMPOSE_")}
        self.environment = {
            **own,
            **(exports(version) if version else {}),
            **(variables or {}),
            "COMPOSE_PROJECT_NAME": self.name,
        }

    def compose(
        self, *arguments: str, check: bool = True, timeout: float = 150
    ) -> subprocess.CompletedProcess[str]:
        return self.run("docker", "compose", *arguments, check=check, timeout=timeout)

    def run(self, *command: str, check: bool = True, timeout: float = 150) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0], path=self.environment["PATH"]) or command[0]
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def inithold(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "inithold", "compose", *arguments, check=check)

    def remove(self) -> None:
        self.compose("down", "-v", "--rmi", "local", "--timeout", "0", "--remove-orphans", check=False)


@contextmanager
def project(engine: Engine, folder: Path, files: Mapping[str, str], version: str) -> Iterator[Project]:
    """A project of these files, removed in the end."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    made = Project(engine, folder, version=version)
    try:
        yield made
    finally:
        made.remove()


@cache
def exports(version: str) -> dict[str, str]:
    """The environment in which `docker compose` is of this version."""
    shown = subprocess.run(
        [TOOL, "env", "--compose", version], capture_output=True, text=True, check=True, timeout=120
    )
    lines = [line.removeprefix("export ").partition("=") for line in shown.stdout.splitlines() if "=" in line]
    return {name: os.path.expandvars("".join(shlex.split(value))) for name, _, value in lines}
