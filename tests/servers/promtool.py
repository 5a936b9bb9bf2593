"""Prometheus's own `promtool`: what its rules and queries make of samples."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from servers.programs import program

MINUTES = "1m"
"""The distance between two samples of a series, and between two evaluations."""


def promtool_test(folder: Path, rules: Sequence[Mapping[str, Any]], *tests: Mapping[str, Any]) -> None:
    """Run unit tests of rules in Prometheus's format; what is not as expected fails with promtool's words."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "rules", "rules": list(rules)}]}))
    content = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": MINUTES,
        "tests": [{"interval": MINUTES, **test} for test in tests],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(content))
    command = [program("promtool"), "test", "rules", "tests.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
