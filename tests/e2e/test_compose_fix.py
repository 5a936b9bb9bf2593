"""Stacks on a real engine, before and after `compose fix`: init runs on every `up`, then once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.engine import Engine
from e2e.images import Images

STACKS = Path(__file__).parent / "compose_stacks"
# How often init ran, and what it left behind, as a command in one of the containers.
PROBES = {
    "permissions": (
        ["exec", "-T", "app", "sh", "-c", "wc -l < /data/runs"],
        [
            "exec",
            "-T",
            "app",
            "sh",
            "-c",
            "ls -ln /data | while read m l u g rest; do echo $u $g ${rest##* }; done",
        ],
    ),
    "migrations": (
        ["exec", "-T", "db", "psql", "-h", "127.0.0.1", "-U", "app", "-tAc", "select count(*) from runs"],
        ["exec", "-T", "db", "psql", "-h", "127.0.0.1", "-U", "app", "-c", r"\d users"],
    ),
    "keys": (
        ["exec", "-T", "redis", "redis-cli", "get", "runs"],
        ["exec", "-T", "redis", "redis-cli", "get", "greeting"],
    ),
    "built": (
        ["exec", "-T", "app", "sh", "-c", "wc -l < /state/runs"],
        ["exec", "-T", "app", "cat", "/state/user"],
    ),
    "inithold": (
        ["exec", "-T", "app", "sh", "-c", "wc -l < /state/runs"],
        ["exec", "-T", "app", "cat", "/state/user"],
    ),
    "chain": (
        ["exec", "-T", "app", "sh", "-c", "wc -l < /state/runs"],
        ["exec", "-T", "app", "sh", "-c", "cat /state/first /state/second"],
    ),
}
INITS = {
    "permissions": ["volume-permissions"],
    "migrations": ["migrate"],
    "keys": ["seed"],
    "built": ["setup"],
    "inithold": ["setup"],
    "chain": ["first", "second"],
}


class Project:
    """Compose commands of one project."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**environment, "COMPOSE_PROJECT_NAME": f"ihfix-{uuid.uuid4().hex[:10]}"}

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("docker", "compose", *arguments, check=check)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0], path=self.environment["PATH"]) or command[0]
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def inithold(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "inithold", "compose", *arguments, check=check)

    def end_state(self, stack: str) -> tuple[int, str]:
        runs, state = PROBES[stack]
        return int(self.compose(*runs).stdout), self.compose(*state).stdout


@pytest.fixture
def environment(engine: Engine) -> dict[str, str]:
    if not engine.stand_ins:
        pytest.skip("these stacks are of the stand-in images, which this engine has not")
    return {name: value for name, value in engine.environment.items() if not name.startswith("COMPOSE_")}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Lays out a stack as a project of its own; removed after the test."""
    made: list[Project] = []

    def lay_out(stack: str, **variables: str) -> Project:
        shutil.copytree(STACKS / stack, tmp_path / stack)
        made.append(Project(tmp_path / stack, {**environment, **variables}))
        return made[-1]

    yield lay_out
    for project in made:
        project.compose("down", "-v", "--rmi", "local", "--timeout", "1", check=False)


def _twice_before_once_after(project: Project, stack: str, wrap: str, dependent: str) -> None:
    project.compose("up", "-d")
    project.compose("up", "-d")
    runs, state = project.end_state(stack)
    assert runs == 2, "before: each `up` runs init"
    project.compose("down", "-v", "--timeout", "1")

    assert project.inithold("check", check=False).returncode == 1
    project.inithold("fix", "--wrap", wrap)
    assert "no findings" in project.inithold("check").stdout

    project.compose("up", "-d", "--wait")
    project.compose("up", "-d")
    assert project.end_state(stack) == (1, state), "after: once, and the same end state"

    # A restart of a dependent runs nothing again; init hears SIGTERM.
    project.compose("restart", "--timeout", "1", dependent)
    assert project.end_state(stack) == (1, state)
    for name in INITS[stack]:
        container = project.compose("ps", "-q", name).stdout.strip()
        project.compose("stop", name)
        code = project.run("docker", "inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()
        assert code == "0", f"{name} was killed"


@pytest.mark.parametrize("stack", ["permissions", "migrations", "keys", "built", "chain"])
def test_wrapped_in_a_shell(stack: str, start: Callable[..., Project]) -> None:
    _twice_before_once_after(start(stack), stack, "shell", "worker" if stack == "migrations" else "app")


def test_wrapped_in_inithold(start: Callable[..., Project], images: Images) -> None:
    project = start("inithold", INITHOLD_IMAGE=images.inithold)
    _twice_before_once_after(project, "inithold", "inithold", "app")
    assert "user is set up" in project.compose("logs", "--no-log-prefix", "setup").stdout
