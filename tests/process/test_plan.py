"""`inithold plan`: the difference, and nothing changed."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from servers.inithold import Inithold
from servers.ports import free_port


def plan(run_inithold: Inithold, *steps: str) -> None:
    text = "version: 1\nname: preview\nsteps:\n" + "".join(f"  - {step}\n" for step in steps)
    (run_inithold.folder / "inithold.yaml").write_text(text)


def make(path: Path, step_id: str = "make") -> str:
    return f"{{id: {step_id}, uses: command.run, with: {{run: [touch, '{path}'], creates: '{path}'}}}}"


def there(path: Path, step_id: str = "there") -> str:
    return f"{{id: {step_id}, uses: file.ready, with: {{path: '{path}'}}}}"


def preview(run_inithold: Inithold) -> dict[str, str]:
    found = json.loads(run_inithold("plan", "--json").stdout)
    return {step["id"]: step["status"] for step in found["steps"]}


def test_nothing_to_change(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, there(tmp_path))
    done = run_inithold("plan", "--exit-code")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Plan: nothing to change, everything is in place."


def test_pending_changes_and_nothing_made(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, make(tmp_path / "new"), there(tmp_path / "new"))
    assert run_inithold("plan").returncode == 0
    done = run_inithold("plan", "--exit-code")
    assert done.returncode == 3
    assert preview(run_inithold) == {"make": "pending", "there": "after"}
    assert "after make" in done.stdout
    assert not (tmp_path / "new").exists()


def test_of_a_thousand_steps_only_those_with_something_to_do_are_shown(
    run_inithold: Inithold, tmp_path: Path
) -> None:
    plan(run_inithold, *(there(tmp_path, f"s{number}") for number in range(1000)), make(tmp_path / "new"))
    shown = run_inithold("plan").stdout.splitlines()
    assert shown[2:] == [
        f"  make  + {tmp_path / 'new'}",
        f"            run touch {tmp_path / 'new'}",
        "  1000 more, in place or skipped",
        "",
        "Plan: 1 to create.",
    ]


def test_a_step_is_after_the_nearest_pending_ones(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(
        run_inithold,
        make(tmp_path / "a", "a"),
        f"{{id: out, uses: file.ready, when: no, with: {{path: '{tmp_path}/a'}}}}",
        there(tmp_path / "a", "b"),
        make(tmp_path / "c", "c"),
        f"{{id: d, uses: file.ready, needs: [b, c], with: {{path: '{tmp_path}/c'}}}}",
    )
    steps = json.loads(run_inithold("plan", "--json").stdout)["steps"]
    assert {step["id"]: step["after"] for step in steps if step["status"] == "after"} == {
        "b": ["a"],
        "d": ["a", "c"],
    }


def test_what_would_fail_and_what_cannot_be_told_are_named(run_inithold: Inithold, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/d.db"
    plan(
        run_inithold,
        f"{{id: tables, uses: database.tables, with: {{url: '{url}', tables: [users]}}}}",
        f"{{id: web, uses: tcp.ready, with: {{address: 'localhost:{free_port()}'}}}}",
    )
    done = run_inithold("plan")
    assert done.returncode == 1
    assert "! table users is missing" in done.stdout
    assert "cannot tell: localhost:" in done.stdout
    assert done.stdout.splitlines()[-1] == "Plan: Would fail: tables. Cannot tell: web."


def test_after_a_run_nothing_is_pending(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, make(tmp_path / "new"), there(tmp_path / "new"))
    assert run_inithold("run", "--once").returncode == 0
    assert run_inithold("plan", "--exit-code").returncode == 0


def test_done_in_each_run_does_not_count(run_inithold: Inithold) -> None:
    plan(run_inithold, "{id: seed, uses: command.run, with: {run: ['true']}}")
    done = run_inithold("plan", "--exit-code")
    assert done.returncode == 0
    assert "? seed" in done.stdout or "runs each time" in done.stdout
    assert preview(run_inithold) == {"seed": "each_run"}


def test_an_unreachable_server_is_1(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(
        run_inithold,
        make(tmp_path / "new"),
        f"{{id: web, uses: tcp.ready, with: {{address: 'localhost:{free_port()}'}}}}",
    )
    done = run_inithold("plan", "--exit-code")
    assert done.returncode == 1
    assert "cannot tell: localhost" in done.stdout
    assert preview(run_inithold) == {"make": "pending", "web": "unknown"}


def test_skipped_steps(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, make(tmp_path / "new").replace("uses", "when: no, uses"), there(tmp_path))
    assert preview(run_inithold) == {"make": "skipped", "there": "satisfied"}


def test_a_bad_plan_is_2(run_inithold: Inithold) -> None:
    plan(run_inithold)
    assert run_inithold("plan").returncode == 2


def test_schemas_are_schemas_and_what_is_written_fits_them(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, make(tmp_path / "new"), there(tmp_path / "new"))
    schemas = {name: json.loads(run_inithold("schema", name).stdout) for name in ("plan", "record", "preview")}
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(run_inithold("plan", "--json").stdout), schemas["preview"])
    assert run_inithold("run", "--once").returncode == 0
    jsonschema.validate(json.loads(run_inithold("status", "--json").stdout), schemas["record"])


def test_the_plans_schema_takes_good_plans_and_refuses_bad_ones(run_inithold: Inithold) -> None:
    import yaml

    schema = json.loads(run_inithold("schema", "plan").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    good = yaml.safe_load(
        """
        version: 1
        name: game-scheduler
        x-anything: {a: 1}
        timeout: 10m
        steps:
          - {id: db, uses: database.ready, with: {host: db, port: "${PORT}"}, timeout: 1m30s}
          - {id: tables, uses: database.tables, with: {url: "x", tables: [a]}, retry: {attempts: 3, delay: 1s}}
        """
    )
    assert list(validator.iter_errors(good)) == []
    for change in (
        {"version": 2},
        {"steps": "x"},
        {"steps": [{"id": "a", "uses": "nonsense"}]},
        {"steps": [{"id": "a", "uses": "tcp.ready", "with": {"adress": "x:1"}}]},
        {"timeout": "soon"},
    ):
        assert list(validator.iter_errors({**good, **change})), change


@pytest.mark.parametrize("kind", [None, "database.ready", "command.run", "rabbitmq.topology", "alembic.upgrade"])
def test_kinds(run_inithold: Inithold, kind: str | None) -> None:
    done = run_inithold("kinds", *([kind] if kind else []))
    assert done.returncode == 0, done.stderr
    assert (kind or "tcp.ready") in done.stdout
