"""What is offered around the commands: the manual's pages and the pre-commit hooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from inithold.cli.compose import compose

ROOT = Path(__file__).parents[3]


def test_the_manual_says_what_the_rules_say() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate_rules.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "concerned"),
    [
        ("compose.yaml", True),
        ("compose.yml", True),
        ("docker-compose.yml", True),
        ("deploy/compose.override.yaml", True),
        ("docker-compose.prod.yaml", True),
        ("docker-compose/values.yaml", False),
        ("decompose.yaml", False),
        ("compose.yaml.bak", False),
    ],
)
def test_the_hooks_run_for_compose_files(name: str, concerned: bool) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        assert bool(re.search(hook["files"], name)) == concerned
        program, group, command = hook["entry"].split()
        assert (program, group) == ("inithold", "compose")
        assert command in compose.commands
        assert hook["pass_filenames"] is False


PRE_COMMIT_CONFIG = """\
repos:
  - repo: {hooks}
    rev: {revision}
    hooks:
      - id: inithold-compose-check
        args: [-f, deploy/compose.yaml]
      - id: inithold-compose-fix
        args: [-f, deploy/compose.yaml]
"""
STACK = """\
services:
  init:
    image: app
    command: inithold run   # plan and all
    restart: always
    healthcheck: {test: [CMD, inithold, health], start_period: 15m, start_interval: 1s}
"""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="pre-commit needs git")
def test_the_hooks_in_a_repository(tmp_path: Path) -> None:
    hooks, user = tmp_path / "hooks", tmp_path / "user"
    shutil.copytree(ROOT / "src", hooks / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, hooks / name)
    (user / "deploy").mkdir(parents=True)
    (user / "deploy" / "compose.yaml").write_text(STACK)
    for folder in (hooks, user):
        _git(folder, "init", "--quiet")
        _git(folder, "add", "--all")
    _git(hooks, "commit", "--quiet", "--message", "hooks")
    revision = _git(hooks, "rev-parse", "HEAD")
    (user / ".pre-commit-config.yaml").write_text(PRE_COMMIT_CONFIG.format(hooks=hooks, revision=revision))
    _git(user, "add", "--all")
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home")}

    def pre_commit(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", *arguments]
        return subprocess.run(command, cwd=user, env=environment, capture_output=True, text=True, check=False)

    made = pre_commit("install-hooks")
    if "No matching distribution found" in made.stdout:
        pytest.skip("no package index to install the hooks from")
    assert made.returncode == 0, made.stdout
    first = pre_commit("run", "--all-files")
    assert first.returncode == 1
    assert "deploy/compose.yaml:5:14: warning: restart: always" in first.stdout
    assert "files were modified by this hook" in first.stdout
    assert (user / "deploy" / "compose.yaml").read_text() == STACK.replace("always", "unless-stopped")
    _git(user, "add", "--all")
    second = pre_commit("run", "--all-files")
    assert second.returncode == 0, second.stdout
