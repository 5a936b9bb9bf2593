"""`docker compose exec init inithold rerun`: the plan runs again in place, the outcome is told, in each wiring."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.alone import alone
from e2e.conftest import Maker
from e2e.engine import poll
from e2e.stack import Stack

PLAN = """
version: 1
name: alone
hold: {verify: 1s}
steps:
  - {id: make, uses: command.run, with: {run: [touch, /tmp/made], creates: /tmp/made}}
  - {id: each, uses: command.run, with: {run: [test, "!", -e, /plan/broken]}}
"""
WIRINGS: dict[str, dict[str, Any]] = {
    "PID 1": {},
    "init: true": {"init": True},
    "catatonit": {"entrypoint": ["catatonit", "--", "inithold"]},
    "any user": {"user": "12345:12345"},
}


def container(stack: Stack) -> tuple[str, int]:
    """Which one it is, and its first process."""
    return stack.inspect("init")["Id"], stack.pid("init")


def succeeds(stack: Stack, *command: str) -> bool:
    return stack.exec("init", *command, check=False).returncode == 0


@pytest.mark.parametrize("wiring", WIRINGS)
def test_it_runs_again_and_the_outcome_is_told(wiring: str, make_stack: Maker) -> None:
    keys = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "restart": "no"}
    stack = alone(make_stack, PLAN, **keys, **WIRINGS[wiring])
    stack.up()
    first = container(stack)
    stack.exec("init", "rm", "/tmp/made")
    poll(lambda: succeeds(stack, "test", "-e", "/tmp/made"), 30, "it is made again", every=0.3)
    poll(lambda: succeeds(stack, "inithold", "health"), 30, "ready", every=0.3)
    assert "again: make: + /tmp/made" in stack.logs("init")

    done = stack.compose("exec", "-T", "init", "inithold", "rerun")
    assert done.stdout.startswith("alone: ready (again: it was asked to (SIGHUP)) in ")
    assert container(stack) == first

    stack.write("plan/broken", "")
    done = stack.compose("exec", "-T", "init", "inithold", "rerun", check=False)
    assert done.returncode == 1, done
    assert "step each (command.run" in done.stderr
    poll(lambda: stack.state("init")["Status"] == "exited", 10, "init has ended")
    assert stack.state("init")["ExitCode"] == 1
