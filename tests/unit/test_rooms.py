"""The map of the rooms, what is public, and what importing costs. Which room may import which: `lint-imports`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import inithold
from inithold.marker.identity import identity

SOURCE = Path(inithold.__file__).parent

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def test_the_map_in_contributing_names_every_room() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    table = CONTRIBUTING.read_text().partition("| package | contents |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)) == rooms


def test_no_module_is_named_for_nothing() -> None:
    for path in SOURCE.rglob("*.py"):
        assert path.stem not in ("utils", "helpers", "common", "manager"), path


def test_every_public_name_is_there() -> None:
    assert sorted(inithold.__all__) == inithold.__all__
    for name in inithold.__all__:
        assert getattr(inithold, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = inithold.nonsense


def imported_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


HEAVY = {
    "click",
    "msgspec",
    "yaml",
    "rich",
    "psycopg",
    "pika",
    "alembic",
    "sqlalchemy",
    "opentelemetry",
    "asyncio",
}


def test_health_and_status_import_no_framework() -> None:
    for module in ("inithold.marker.health", "inithold.record.status"):
        assert not imported_by(f"import {module}") & HEAVY, module


def test_a_health_check_imports_next_to_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.write_bytes(msgspec.json.encode({"vouched_by": identity(os.getpid())}) + b"\n")
    asked = f"import inithold.__main__ as door; door._answered(['health', '--marker={marker}'])"
    found = imported_by(asked) - imported_by("")
    assert "ready" in found, "its answer"
    assert {name for name in found if not name.startswith("inithold")} == {"__future__", "ready"}


def test_the_command_line_imports_no_technology() -> None:
    found = imported_by("import inithold.cli.run, inithold.lifecycle.run, inithold.plan.source")
    assert not found & {"psycopg", "pika", "alembic", "sqlalchemy", "opentelemetry", "rich", "asyncio"}


def test_the_report_imports_its_templates_only_when_used() -> None:
    assert "jinja2" not in imported_by("import inithold.cli.report, inithold.report.render")


def test_kinds_import_their_technology_only_when_used() -> None:
    found = imported_by("from inithold.steps import registry\nfor kind in registry.KINDS: registry.load(kind)")
    assert not found & {"psycopg", "pymysql", "pika", "alembic", "sqlalchemy", "redis", "asyncio"}
