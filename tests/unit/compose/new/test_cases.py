"""Stacks modelled on how real ones wire their init: the draft, and what is said of it.

`UPDATE_CASES=1` writes what is expected anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from unit.compose.new.case import CASES, lay_out, load, options_of, run

STACKS = sorted(path for path in CASES.iterdir() if path.is_dir())
PASSWORDS = r"hunter|not-for-init|changethis|:airflow@|postgres:postgres"


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Compose would fill in from the environment of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("COMPOSE_", "POSTGRES", "PG", "DATABASE", "DB_", "REDIS", "RABBITMQ", "AIRFLOW")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("case", STACKS, ids=lambda path: path.name)
def test_case(case: Path, tmp_path: Path) -> None:
    folder = lay_out(case, tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run(folder, *options_of(case))
    assert (done.code, done.output) == (0, "")
    draft = (folder / "inithold.yaml").read_text()

    if os.environ.get("UPDATE_CASES"):
        (case / "inithold.yaml").write_text(draft)
        (case / "said").write_text(done.errors)
    assert draft == (case / "inithold.yaml").read_text()
    assert done.errors == (case / "said").read_text()
    assert load(draft, tmp_path).steps
    assert not re.search(PASSWORDS, draft + done.errors), "a password of the stack is in the draft"
    changed = {path for path in folder.rglob("*") if path.is_file() and path.read_bytes() != before.get(path)}
    assert changed == {folder / "inithold.yaml"}


def test_there_are_enough_ways() -> None:
    assert len(STACKS) >= 12
