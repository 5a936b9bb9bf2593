"""An env.py that uses OpenTelemetry has its spans under the step's; one that does not pays nothing for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alembic_project import ASYNC_ENV, SYNC_ENV, AlembicProject
from servers.inithold import Inithold
from servers.otlp import Collector

PLAN = """
version: 1
name: demo
steps:
  - {id: migrate, uses: alembic.upgrade, with: {config: alembic.ini, url: "sqlite:///games.db"}}
"""
WORK = """
version: 1
name: demo
steps:
  - {id: work, uses: python.call, needs: [], with: {call: "work:work"}}
  - {id: migrate, uses: alembic.upgrade, needs: [], with: {config: alembic.ini, url: "sqlite:///games.db"}}
"""
TRACED = """
from opentelemetry import trace
with trace.get_tracer("app").start_as_current_span("app.env"):
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    (tmp_path / "plan.yaml").write_text(PLAN)
    project = AlembicProject(tmp_path)
    project.tables("users")
    return project


def once(run_inithold: Inithold, project: AlembicProject, otlp: Collector, plan: str = "plan.yaml") -> str:
    env = otlp.env() | {"PYTHONPATH": str(project.folder)}
    done = run_inithold("run", "--once", plan, env=env, cwd=project.folder)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV], ids=["sync", "async"])
def test_spans_of_env_and_of_revisions_belong_to_the_step(
    env: str, project: AlembicProject, run_inithold: Inithold, otlp: Collector
) -> None:
    project.env.write_text(TRACED + env)
    project.revision(
        "0002",
        "traced",
        "from opentelemetry import trace",
        'with trace.get_tracer("app").start_as_current_span("app.revision"):',
        "    pass",
    )
    once(run_inithold, project, otlp)
    step = otlp.span("init.migrate")
    assert {"app.env", "app.revision"} <= {span.name for span in otlp.spans}
    for span in otlp.spans:
        if span.name.startswith("app."):
            assert (span.trace_id, span.parent_span_id) == (step.trace_id, step.span_id)


def test_opentelemetry_first_imported_by_a_revision(
    project: AlembicProject, run_inithold: Inithold, otlp: Collector
) -> None:
    project.revision(
        "0002",
        "traced",
        "import opentelemetry.trace as api",
        'with api.get_tracer("app").start_as_current_span("app.revision"):',
        "    pass",
    )
    once(run_inithold, project, otlp)
    assert otlp.span("app.revision").parent_span_id == otlp.span("init.migrate").span_id


def test_beside_other_user_code_both_have_their_own_parent(
    project: AlembicProject, run_inithold: Inithold, otlp: Collector
) -> None:
    (project.folder / "plan.yaml").write_text(WORK)
    (project.folder / "work.py").write_text(
        "from opentelemetry import trace\n"
        "def work():\n"
        "    with trace.get_tracer('app').start_as_current_span('app.work'):\n"
        "        pass\n"
    )
    project.env.write_text(TRACED + SYNC_ENV)
    once(run_inithold, project, otlp)
    assert otlp.span("app.work").parent_span_id == otlp.span("init.work").span_id
    parents = {span.parent_span_id for span in otlp.spans if span.name == "app.env"}
    assert parents == {otlp.span("init.migrate").span_id}


def test_an_env_without_opentelemetry_does_not_load_it(
    project: AlembicProject, run_inithold: Inithold, otlp: Collector
) -> None:
    heavy = ("opentelemetry.trace", "opentelemetry.sdk", "google")
    project.env.write_text(
        f"{SYNC_ENV}\nimport sys\nprint('imported:', [n for n in sys.modules if n.startswith({heavy})])\n"
    )
    said = once(run_inithold, project, otlp)
    assert "imported: []" in said, said
    assert otlp.span("init.migrate").attributes["init.outcome"] == "changed"
