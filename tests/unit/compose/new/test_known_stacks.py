"""Drafts of stacks that were not made for it: the complete example, and the cases of the compose room."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from inithold.compose.read.discover import find_files
from inithold.compose.read.project import load_project
from unit.compose.new.case import ROOT, load, run

EXAMPLE = ROOT / "examples" / "game-scheduler"
PROJECTS = sorted(path for path in (ROOT / "tests" / "cases" / "compose" / "projects").iterdir() if path.is_dir())


def files(case: Path) -> list[str]:
    """The `-f` options that the case is run with."""
    options = shlex.split((case / "options").read_text())
    return [part for at, option in enumerate(options) if option == "-f" for part in options[at : at + 2]]


def services_of(case: Path) -> list[str]:
    """Every service of the case: each may be asked for."""
    folder = case / "bad"
    named = files(case)[1::2] or find_files([], {}, folder)
    return list(load_project(named, folder=folder).services)


@pytest.mark.parametrize("case", PROJECTS, ids=lambda path: path.name)
def test_a_draft_loads(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    names = ["", *services_of(case)]
    for name in names:
        done = run(case / "bad", *files(case), "-o", "-", *(["--service", name] if name else []))
        if done.code == 2:
            assert re.search("looks like an init service|says what .* does", done.errors), name
        else:
            assert load(done.output, tmp_path).steps, name


def comparable(plan: dict[str, Any]) -> dict[str, tuple[str, Any, set[str]]]:
    """Each step: its kind, its fields, and everything before it."""
    found: dict[str, tuple[str, Any, set[str]]] = {}
    above: list[str] = []
    for step in plan["steps"]:
        needs = step.get("needs", above)
        before = set(needs).union(*(found[need][2] for need in needs))
        found[step["id"]] = (step["uses"], step["with"], before)
        above = [step["id"]]
    return found


def test_the_draft_of_the_example_is_near_its_plan() -> None:
    written = yaml.safe_load((EXAMPLE / "inithold.yaml").read_text())
    done = run(EXAMPLE, "-f", "compose.yaml", "-o", "-")
    draft = yaml.safe_load(done.output)
    assert {key: draft[key] for key in ("version", "name", "lock")} == {
        key: written[key] for key in ("version", "name", "lock")
    }
    same, own = comparable(draft), comparable(written)
    assert set(same) == {"database", "broker"}
    assert {name: own[name] for name in same} == same
    assert "grafana-alloy" not in done.output, "nothing waits for telemetry"
    assert "it already runs inithold, with inithold.yaml" in done.errors


def test_the_example_in_python_keeps_its_command(tmp_path: Path) -> None:
    text = (EXAMPLE / "compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(text.replace("[inithold, run] ", "[python, -m, services.init.main] "))
    (tmp_path / "alembic.ini").write_text((EXAMPLE / "alembic.ini").read_text())
    draft = yaml.safe_load(run(tmp_path, "-o", "-").output)
    assert [(step["id"], step["uses"]) for step in draft["steps"]] == [
        ("database", "database.ready"),
        ("broker", "rabbitmq.ready"),
        ("init", "command.run"),
    ], "that there is an alembic.ini does not say that init runs it"
