"""What a healthcheck looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.compose.read.project import load_project
from inithold.compose.stack.probe import Sight, read_probe


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("pg_isready || exit 0", Sight.ALWAYS),
        ("[CMD-SHELL, 'curl -f localhost || true && true']", Sight.ALWAYS),
        ("[CMD-SHELL, 'test -f /x || (echo no && exit 1) || true']", Sight.ALWAYS),
        ("'exit 0 # for now'", Sight.ALWAYS),
        ("[CMD, /bin/true]", Sight.ALWAYS),
        ("[CMD-SHELL, 'broken && exit 1 || exit 0']", Sight.OTHER),
        ("[CMD-SHELL, 'curl -f localhost || exit 1']", Sight.OTHER),
        ("[CMD-SHELL, 'curl -f localhost && true']", Sight.OTHER),
        ("[CMD-SHELL, 'curl -f localhost/#true']", Sight.OTHER),
        ("[CMD, exit, '0']", Sight.NEVER),
        ("[CMD, curl -f localhost]", Sight.NEVER),
    ],
)
def test_sight(test: str, expected: Sight, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"services:\n  it: {{image: x, healthcheck: {{test: {test}}}}}\n")
    project = load_project(["compose.yaml"], folder=tmp_path, environment={})
    assert read_probe(project.services["it"].value("healthcheck")).sight == expected
