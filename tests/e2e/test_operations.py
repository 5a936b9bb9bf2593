"""Restarting, recreating, killing and scaling dependents runs no step again; a one-shot beside it runs again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from e2e.engine import Engine
from e2e.images import Images
from e2e.stack import DEPENDENTS, Stack, started

COUNT = """
  - id: count
    uses: command.run
    needs: [schema]
    with:
      run:
        - python
        - -c
        - |
          import os, psycopg
          with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
              connection.execute("create table if not exists runs (who text)")
              connection.execute("insert into runs values (%s)", [os.environ["WHO"]])
"""
ONE_SHOT = """
services:
  init:
    environment: {WHO: held}
    volumes: ["./inithold.yaml:/app/inithold.yaml:ro"]
  once:
    extends: {file: compose.yaml, service: init}
    container_name: ${CONTAINER_PREFIX}-once
    command: [inithold, run, --once]
    restart: "no"
    healthcheck: {disable: true}
    environment: {WHO: once}
    volumes: ["./inithold.yaml:/app/inithold.yaml:ro"]
  after-once:
    image: ${IMAGE_REGISTRY}game-scheduler:latest
    pull_policy: never
    command: [catatonit, -P]
    depends_on:
      once: {condition: service_completed_successfully}
"""


OPERATED = ("api", "bot")
"""Two of the dependents, which are all defined alike."""


def kill_all(stack: Stack) -> None:
    ids = [container for name in OPERATED for container in stack.ids(name)]
    stack.engine.docker("kill", *ids)
    stack.compose("up", "-d", *OPERATED)


SCALE = [word for name in OPERATED for word in ("--scale", f"{name}=2")]
# What is done, and whether it is the kind of `up` that runs a one-shot again.
OPERATIONS: dict[str, tuple[Callable[[Stack], object], bool]] = {
    "restarted": (lambda stack: stack.compose("restart", "--timeout", "2", *OPERATED), False),
    "recreated": (
        lambda stack: stack.compose("up", "-d", "--force-recreate", "--timeout", "2", *OPERATED),
        False,
    ),
    "killed": (kill_all, False),
    "scaled": (lambda stack: stack.compose("up", "-d", *SCALE, *OPERATED), False),
    "up": (lambda stack: stack.compose("up", "-d"), True),
    "up again": (lambda stack: stack.compose("up", "-d"), True),
    "up --wait": (lambda stack: stack.compose("up", "-d", "--wait", "postgres", "rabbitmq", *DEPENDENTS), False),
}


@pytest.fixture(scope="module")
def beside(engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The example, without container names, with a step that counts its runs; and the same as a one-shot."""

    def prepare(stack: Stack) -> None:
        stack.write("inithold.yaml", (stack.folder / "inithold.yaml").read_text() + COUNT)
        stack.write("compose.once.yaml", ONE_SHOT)

    files = ("compose.yaml", "compose.scale.yaml", "compose.once.yaml")
    folder = tmp_path_factory.mktemp("operations")
    with started(engine, images, folder, *files, prepare=prepare, wait=False) as stack:
        yield stack


def runs(stack: Stack, who: str) -> int:
    return int(stack.sql(f"select count(*) from runs where who = '{who}'"))


def test_no_step_runs_again(beside: Stack) -> None:
    run_id, once = beside.record()["run_id"], runs(beside, "once")
    assert (runs(beside, "held"), once) == (1, 1)
    for name, (operate, again) in OPERATIONS.items():
        operate(beside)
        assert runs(beside, "held") == 1, name
        now = runs(beside, "once")
        assert now == once + again, f"{name}: the one-shot, which is here for comparison, ran {now - once} times"
        once = now
    assert beside.record()["run_id"] == run_id
    assert beside.exec("init", "test", "-e", "/tmp/init-complete.record.1.json", check=False).returncode == 1
    assert beside.logs("init").count("holding (") == 1
    assert beside.health("init") == "healthy"
    assert {len(beside.ids(name)) for name in DEPENDENTS} == {1}, "the last `up` scaled them down"
    print(f"over the same operations: held 1 run, one-shot {once} runs")
