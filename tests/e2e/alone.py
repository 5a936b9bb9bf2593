"""An init container by itself: the image of image/Dockerfile with a plan of the test's own, no servers."""

from __future__ import annotations

from typing import Any

import yaml

from e2e.conftest import Maker
from e2e.stack import Stack

PLAN = "plan/inithold.yaml"


def alone(make_stack: Maker, plan: str, **keys: Any) -> Stack:
    """A stack of one service, `init`, read-only with a tmpfs on /tmp; not started.

    Args:
        make_stack: the fixture.
        plan: the plan; a file in the folder `plan`, which the container sees as /plan.
        keys: what else, or what other, the service's definition says; None takes a key away.
    """
    stack = make_stack("compose.alone.yaml")
    stack.write(PLAN, plan)
    definition = {
        "image": stack.images.inithold,
        "pull_policy": "never",
        "container_name": f"{stack.project}-init",
        "command": ["run", "/plan/inithold.yaml"],
        "restart": "unless-stopped",
        "network_mode": "none",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "volumes": ["./plan:/plan:ro"],
        **keys,
    }
    init = {key: value for key, value in definition.items() if value is not None}
    stack.write("compose.alone.yaml", yaml.safe_dump({"services": {"init": init}}))
    return stack


def plan_of(*command: str, **keys: Any) -> str:
    """A plan of one step: a command, or what the keys say."""
    step = {"id": "work", "uses": "command.run", "with": {"run": list(command)}, **keys}
    return yaml.safe_dump({"version": 1, "name": "alone", "steps": [step]})
