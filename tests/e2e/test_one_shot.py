"""Beside the one-shot wiring that inithold replaces: the same ten operations, and how often each runs."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from e2e.conftest import Maker
from e2e.images import EXAMPLE
from e2e.project import COMPOSE_2, COMPOSE_5
from e2e.stack import DEPENDENTS, Stack

OPERATIONS: tuple[tuple[str, ...], ...] = (
    ("up -d --wait",),
    ("up -d",),
    ("up -d --wait",),
    ("restart bot",),
    ("up -d --force-recreate bot",),
    ("kill bot", "up -d"),
    ("up -d --scale bot=2",),
    ("run --rm -T bot true",),
    ("down -t 1", "up -d --wait"),
    ("up -d --wait",),
)
WAIT_FOR_INIT = ("up", "-d", "--wait", "init")
# Counts the runs in the database, whatever becomes of the containers.
COUNT = {
    "id": "count",
    "uses": "database.sql",
    "with": {
        "url": "${DATABASE_URL}",
        "sql": "CREATE TABLE IF NOT EXISTS runs (at timestamptz DEFAULT now()); INSERT INTO runs DEFAULT VALUES;",
    },
}
ONE_SHOT: dict[str, dict[str, Any]] = {
    "init": {"command": ["inithold", "run", "--once"], "restart": "no", "healthcheck": {"disable": True}},
    **{name: {"depends_on": {"init": {"condition": "service_completed_successfully"}}} for name in DEPENDENTS},
}


@dataclass(frozen=True)
class Step:
    """What one operation did.

    Args:
        seconds: that its last command took.
        exit: its exit code.
        runs: of init, all in all, after it.
    """

    seconds: float
    exit: int
    runs: int


def perform(stack: Stack) -> list[Step]:
    """The ten operations, one after the other."""
    steps = []
    for commands in OPERATIONS:
        for command in commands:
            began = time.monotonic()
            done = stack.compose(*command.split(), check=False)
            seconds = time.monotonic() - began
        steps.append(Step(seconds, done.returncode, runs(stack)))
    return steps


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The exit code, and why where it is not 0."""
    last = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    return " ".join([f"exit {done.returncode}", *last])


def runs(stack: Stack) -> int:
    return int(stack.sql("select count(*) from runs"))


def counting(make_stack: Maker) -> Stack:
    """The deployment, which may be scaled, with a plan that counts its runs."""
    stack = make_stack("compose.yaml", "compose.scale.yaml")
    plan = yaml.safe_load((EXAMPLE / "inithold.yaml").read_text())
    stack.write("counting.yaml", yaml.safe_dump({**plan, "steps": [*plan["steps"], COUNT]}))
    stack.override(init={"volumes": ["./counting.yaml:/app/inithold.yaml:ro"]})
    return stack


def shown_by_ps(stack: Stack) -> str:
    """The line of `docker compose ps -a init`."""
    return stack.compose("ps", "-a", "--format", "{{.Status}}", "init").stdout.strip()


@pytest.mark.timeout(500)
@pytest.mark.parametrize("version", [COMPOSE_2, COMPOSE_5])
def test_over_ten_operations_a_held_init_runs_twice(version: str, make_stack: Maker) -> None:
    make_stack.use_compose(version)
    held = counting(make_stack)
    by_hold, hold_ps = perform(held), shown_by_ps(held)
    hold_waited = held.compose(*WAIT_FOR_INIT, check=False)
    held.down()
    one_shot = counting(make_stack)
    one_shot.override(**ONE_SHOT)
    by_one_shot, one_shot_ps = perform(one_shot), shown_by_ps(one_shot)
    one_shot_waited = one_shot.compose(*WAIT_FOR_INIT, check=False)

    print(table(by_hold, by_one_shot))
    print(f"docker compose ps -a init: {hold_ps!r}, one-shot {one_shot_ps!r}")
    print(f"docker compose up -d --wait init: {said(hold_waited)}, one-shot {said(one_shot_waited)}")
    assert [step.exit for step in by_hold] == [0] * len(OPERATIONS)
    # Once when it is made, once when everything is made anew.
    assert [step.runs for step in by_hold] == [1] * 8 + [2] * 2
    assert by_one_shot[-1].runs >= 7
    assert "(healthy)" in hold_ps and "Exited (0)" in one_shot_ps
    # An `up` with nothing to do does nothing, against a run of init; in sum, since machines have bad moments.
    idle = (1, 2, 9)
    assert sum(by_hold[index].seconds for index in idle) < sum(by_one_shot[index].seconds for index in idle)
    # Compose 2.40 forgives an ended container that others wait for; asked for the init service itself it does not.
    assert hold_waited.returncode == 0, hold_waited.stderr
    # Compose 5 takes one that is still running when it looks for one that is up.
    assert one_shot_waited.returncode != 0 or version == COMPOSE_5


def table(by_hold: list[Step], by_one_shot: list[Step]) -> str:
    """Markdown, as it stands in the example's README."""
    lines = [
        "| docker compose | hold: runs | seconds | one-shot: runs | seconds |",
        "|---|--:|--:|--:|--:|",
    ]
    for commands, hold, one_shot in zip(OPERATIONS, by_hold, by_one_shot, strict=True):
        numbers = [f"{step.runs} | {step.seconds:.1f}" for step in (hold, one_shot)]
        lines.append(f"| `{'; '.join(commands)}` | {' | '.join(numbers)} |")
    return "\n".join(lines)
