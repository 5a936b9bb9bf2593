"""What is offered around the commands: the manual's pages and the pre-commit hooks."""

from __future__ import annotations

import re
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
