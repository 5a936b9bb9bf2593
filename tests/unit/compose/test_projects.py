"""Stacks modelled on how well-known projects wire their init services: findings, and the files after the fix.

`UPDATE_CASES=1` writes what is expected anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from unit.compose.case import CASES, contents, findings, lay_out, options_of, run

PROJECTS = sorted(path for path in (CASES / "projects").iterdir() if path.is_dir())


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What an image runs is unknown, whichever images this machine has."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("case", PROJECTS, ids=lambda path: path.name)
def test_project(case: Path, tmp_path: Path) -> None:
    folder, options = lay_out(case, tmp_path), options_of(case)
    before = contents(folder)
    found = findings(folder, options)

    shown = run(folder, "fix", *options, "--diff")
    assert contents(folder) == before, "--diff wrote"
    first = run(folder, "fix", *options)
    after = contents(folder)
    left = findings(folder, options)

    if os.environ.get("UPDATE_CASES"):
        _write(case, before, after, found, left)
    assert ["check", *found, "after fix", *left] == (case / "findings").read_text().splitlines()
    changed = {name: data for name, data in after.items() if data != before[name]}
    assert changed == (contents(case / "fixed") if (case / "fixed").is_dir() else {})
    assert first.code == (1 if left else 0)
    assert bool(shown.output) == bool(changed)

    second = run(folder, "fix", *options)
    assert contents(folder) == after, "a second fix changed something"
    assert second.code == first.code
    assert "0 fixed" in second.output or "nothing to fix" in second.output


def _write(
    case: Path, before: dict[str, bytes], after: dict[str, bytes], found: list[str], left: list[str]
) -> None:
    (case / "findings").write_text("\n".join(["check", *found, "after fix", *left]) + "\n")
    shutil.rmtree(case / "fixed", ignore_errors=True)
    for name, data in after.items():
        if data != before[name]:
            target = case / "fixed" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
