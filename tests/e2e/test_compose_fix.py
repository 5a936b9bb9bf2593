"""Stacks on a real engine, before and after `compose fix`: init runs on every `up`, then once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.engine import Engine
from e2e.images import Images
from e2e.project import Project

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


def _end_state(project: Project, stack: str) -> tuple[int, str]:
    runs, state = PROBES[stack]
    return int(project.compose(*runs).stdout), project.compose(*state).stdout


@pytest.fixture
def start(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Lays out a stack as a project of its own; removed after the test."""
    made: list[Project] = []

    def lay_out(stack: str, **variables: str) -> Project:
        shutil.copytree(STACKS / stack, tmp_path / stack)
        made.append(Project(engine, tmp_path / stack, variables))
        return made[-1]

    yield lay_out
    for project in made:
        project.remove()


def _twice_before_once_after(project: Project, stack: str, wrap: str, dependent: str) -> None:
    project.compose("up", "-d")
    project.compose("up", "-d")
    runs, state = _end_state(project, stack)
    assert runs == 2, "before: each `up` runs init"
    project.compose("down", "-v", "--timeout", "1")

    assert project.inithold("check", check=False).returncode == 1
    project.inithold("fix", "--wrap", wrap)
    assert "no findings" in project.inithold("check").stdout

    project.compose("up", "-d", "--wait")
    project.compose("up", "-d")
    assert _end_state(project, stack) == (1, state), "after: once, and the same end state"

    # A restart of a dependent runs nothing again; init hears SIGTERM.
    project.compose("restart", "--timeout", "1", dependent)
    assert _end_state(project, stack) == (1, state)
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
