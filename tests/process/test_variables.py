"""Every option has a variable INITHOLD_<OPTION>, without the command's name."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inithold.cli import COMMANDS, cli
from servers.inithold import Inithold

WITHOUT = {("run", "only"), ("run", "from"), ("health", "wait"), ("compose", "*"), ("new", "*")}
"""`run --only` and `--from`: in a container's environment they would narrow every start of init. `health --wait`:
INITHOLD_WAIT is the URLs that `run` waits for in the same container. Compose files are fixed, and
plans drafted from them, by hand, where variables would surprise."""


def options() -> Iterator[tuple[str, click.Option]]:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter


def test_every_option_names_its_variable() -> None:
    seen = 0
    for command, option in options():
        name = max(option.opts, key=len).lstrip("-")
        if (command, name) in WITHOUT or (command, "*") in WITHOUT:
            assert option.envvar is None
            continue
        assert option.envvar == f"INITHOLD_{name.replace('-', '_').upper()}", f"{command} --{name}"
        seen += 1
    assert seen > 15


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "some.yaml"
    path.write_text(
        "version: 1\nname: variables\nsteps:\n"
        "  - {id: there, uses: file.ready, with: {path: /}}\n"
        "  - {id: never, uses: file.ready, needs: [], when: '${NEVER:-no}', with: {path: /nowhere}}\n"
    )
    return path


def test_of_run(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    env: dict[str, str | None] = {
        "INITHOLD_PLAN": str(plan),
        "INITHOLD_ONCE": "yes",
        "INITHOLD_MARKER": str(tmp_path / "m"),
        "INITHOLD_RECORD": str(tmp_path / "r.json"),
        "INITHOLD_KEEP": "1",
        "INITHOLD_LOG_FORMAT": "json",
        "INITHOLD_LOG_LEVEL": "warning",
    }
    for _ in range(3):
        done = run_inithold("run", env=env)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    assert (tmp_path / "m").exists()
    assert sorted(path.name for path in tmp_path.glob("r*.json")) == ["r.1.json", "r.json"]


def test_several_urls_to_wait_for(run_inithold: Inithold, plan: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        env: dict[str, str | None] = {"INITHOLD_WAIT": f"{url} file:///", "INITHOLD_PLAN": str(plan)}
        assert run_inithold("run", "--once", env=env).returncode == 0
        steps = json.loads(run_inithold("status", env={"INITHOLD_JSON": "true"}).stdout)["steps"]
        assert [step["id"] for step in steps] == ["wait-1", "wait-2", "there", "never"]
        # In the same container, where nothing holds: the URLs are no duration to `health`.
        health = run_inithold("health", env=env)
    assert (health.returncode, health.stderr) == (1, "")
    assert "--once" in health.stdout


def test_of_a_command(run_inithold: Inithold, tmp_path: Path) -> None:
    for variable, value in (("INITHOLD_UNLESS", "true"), ("INITHOLD_CREATES", str(tmp_path))):
        env: dict[str, str | None] = {variable: value, "INITHOLD_PLAN": "ignored.yaml"}
        done = run_inithold("run", "--once", "--", "sh", "-c", "exit 5", env=env)
        assert done.returncode == 0, done.stderr


def test_of_plan(run_inithold: Inithold, plan: Path) -> None:
    plan.write_text(
        plan.read_text() + "  - {id: make, uses: command.run, with: {run: 'true', creates: /nowhere}}\n"
    )
    env: dict[str, str | None] = {"INITHOLD_PLAN": str(plan), "INITHOLD_JSON": "1", "INITHOLD_EXIT_CODE": "1"}
    done = run_inithold("plan", env=env)
    assert done.returncode == 3
    assert json.loads(done.stdout)["name"] == "variables"


def test_of_wait(run_inithold: Inithold, plan: Path) -> None:
    env: dict[str, str | None] = {"INITHOLD_PLAN": str(plan), "NEVER": "yes", "INITHOLD_TIMEOUT": "200ms"}
    done = run_inithold("wait", env=env)
    assert done.returncode == 1
    assert "never: the time (200ms) is up" in done.stderr
    assert run_inithold("wait", env={**env, "INITHOLD_STEP": "there"}).returncode == 0


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        ("run", "INITHOLD_KEEP", "many"),
        ("run", "INITHOLD_ONCE", "perhaps"),
        ("run", "INITHOLD_LOG_LEVEL", "loud"),
        ("run", "INITHOLD_WAIT", "db"),
        ("wait", "INITHOLD_TIMEOUT", "5"),
    ],
)
def test_a_value_that_does_not_fit_is_2_and_names_the_variable(
    run_inithold: Inithold, plan: Path, command: str, variable: str, value: str
) -> None:
    done = run_inithold(command, env={variable: value, "INITHOLD_PLAN": str(plan)})
    assert done.returncode == 2
    assert variable in done.stderr or "cannot wait for" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plan_in_python_takes_them_too(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "init.py").write_text(
        "from inithold import Plan\nfrom inithold.steps import file\n"
        "plan = Plan('python')\nplan.add(file.Ready(path='/'), id='there')\nraise SystemExit(plan.run())\n"
    )
    running = run_inithold.start(
        program=(sys.executable, "init.py"),
        env={"INITHOLD_ONCE": "on", "INITHOLD_LOG_FORMAT": "json", "INITHOLD_MARKER": str(tmp_path / "m")},
    )
    assert running.wait() == 0, running.stderr
    assert {json.loads(line)["event"] for line in running.stderr.splitlines()} >= {"run_started", "run_finished"}
    for keep, said in (("many", "INITHOLD_KEEP=many"), ("-1", "INITHOLD_KEEP: expected a whole number from 0 to")):
        bad = run_inithold.start(program=(sys.executable, "init.py"), env={"INITHOLD_KEEP": keep})
        assert bad.wait() == 2
        assert said in bad.stderr
