"""A guard that `inithold new` drafts, with the tool itself: dbmate's. Django's is in tests/e2e/test_django.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from servers.gate_tools import dbmate
from servers.inithold import Inithold

MIGRATION = "-- migrate:up\nCREATE TABLE {0} (name text);\n-- migrate:down\nDROP TABLE {0};\n"
STACK = """
services:
  migrate: {image: x, command: [DBMATE, up], environment: {DATABASE_URL: "sqlite:games.db"}}
  app: {image: x, depends_on: {migrate: {condition: service_completed_successfully}}}
"""


@pytest.mark.timeout(600)
def test_dbmate(run_inithold: Inithold) -> None:
    folder: Path = run_inithold.folder
    (folder / "compose.yaml").write_text(STACK.replace("DBMATE", dbmate()))
    drafted = run_inithold("new", "-o", "-")
    (step,) = yaml.safe_load(drafted.stdout)["steps"]
    assert step["with"]["unless"] == [dbmate(), "status", "--exit-code", "--quiet"]
    (folder / "inithold.yaml").write_text(drafted.stdout)
    migrations = folder / "db" / "migrations"
    migrations.mkdir(parents=True)
    for table, outcome in (("players", "changed"), ("", "unchanged"), ("games", "changed"), ("", "unchanged")):
        if table:
            (migrations / f"{len(list(migrations.iterdir())) + 1}_{table}.sql").write_text(MIGRATION.format(table))
        done = run_inithold("run", "--once", env={"DATABASE_URL": "sqlite:games.db"})
        assert done.returncode == 0, done.stderr
        assert f" {outcome} in " in done.stderr, done.stderr
