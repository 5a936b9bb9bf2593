"""Four ways to wire one init service, and what people do with a stack all day.

Each start of init adds a line to a file on this machine, the same for every wiring, whatever becomes of containers
and volumes. `make rivals` makes a table of it; test_rivals.py tests what the pages say of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from e2e.engine import REPOSITORY
from e2e.images import EXAMPLE
from e2e.stack import DEPENDENTS, Stack

OPERATIONS: tuple[tuple[str, ...], ...] = (
    ("up -d --wait",),
    ("up -d",),
    ("up -d --wait",),
    ("restart api",),
    ("up -d --force-recreate api",),
    ("kill api", "up -d"),
    ("stop api", "up -d"),
    ("up -d api",),
    ("up -d --scale api=2",),
    ("run --rm -T bot true",),
    ("down -t 1", "up -d --wait"),
    ("up -d --wait",),
)
"""Several commands in one operation are timed by the last. `api` is the service that Compose's hook belongs to."""
NOTHING_TO_DO, RECREATED = 1, 4
"""Indices of the two operations that are done most."""


@dataclass(frozen=True)
class Operation:
    """What an operation did.

    Args:
        seconds: of its last command.
        exit: code of that command.
        runs: of init, in all, after it.
        message: the last line of its errors.
    """

    seconds: float
    exit: int
    runs: int
    message: str


def perform(stack: Stack, operations: Sequence[tuple[str, ...]] = OPERATIONS) -> list[Operation]:
    """Do the operations one after the other."""
    results = []
    for commands in operations:
        for command in commands:
            began = time.monotonic()
            done = stack.compose(*command.split(), check=False)
            seconds = time.monotonic() - began
        errors = done.stderr.strip().splitlines() or [""]
        runs = len((stack.folder / "runs" / "log").read_text().splitlines())
        results.append(Operation(seconds, done.returncode, runs, errors[-1]))
    return results


def _counted(*command: str) -> list[str]:
    return ["sh", "-c", 'echo run >> /runs/log; exec "$$@"', "init", *command]


def held(services: dict[str, Any]) -> None:
    """inithold, as the example has it."""
    services["init"]["command"] = _counted("inithold", "run")


def by_hand(services: dict[str, Any]) -> None:
    """benchmarks/handwritten: it sleeps when it is done. Its health check is as frequent as ours."""
    init = services["init"]
    init["command"] = _counted("python", "/by-hand.py")
    init["environment"]["PYTHONPATH"] = "/app"
    init["volumes"].append(f"{REPOSITORY}/benchmarks/handwritten/main.py:/by-hand.py:ro")
    init["healthcheck"] |= {"test": ["CMD", "test", "-f", "/tmp/init-complete"], "timeout": "5s"}


def hook(services: dict[str, Any]) -> None:
    """Compose's `pre_start`: one service has the hook, the others wait until that service is started."""
    init, api = services.pop("init"), services["api"]
    for name in DEPENDENTS:
        services[name]["depends_on"] = {"api": {"condition": "service_started"}}
    api |= {
        "depends_on": init["depends_on"],
        "environment": {**init["environment"], **api["environment"]},
        "volumes": init["volumes"],
        "pre_start": [{"command": _counted("inithold", "run", "--once")}],
    }


def one_shot(services: dict[str, Any]) -> None:
    """A container that ends; dependents wait with `service_completed_successfully`."""
    init = services["init"]
    init |= {"command": _counted("inithold", "run", "--once"), "restart": "no"}
    del init["healthcheck"]
    for name in DEPENDENTS:
        services[name]["depends_on"]["init"] = {"condition": "service_completed_successfully"}


WIRINGS: dict[str, Callable[[dict[str, Any]], None]] = {
    "inithold": held,
    "by hand": by_hand,
    "`pre_start`": hook,
    "one-shot": one_shot,
}


def wire(stack: Stack, wiring: Callable[[dict[str, Any]], None]) -> None:
    """Let a stack that is not started have its init wired so. Its services can be scaled."""
    content = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())
    services = content["services"]
    services["init"]["volumes"] = ["./runs:/runs"]
    for service in services.values():
        service.pop("container_name", None)
    wiring(services)
    runs = stack.folder / "runs"
    runs.mkdir()
    runs.chmod(0o777)  # init is not root
    stack.write("compose.wired.yaml", yaml.safe_dump(content))
    stack.files[:] = ["compose.wired.yaml"]
