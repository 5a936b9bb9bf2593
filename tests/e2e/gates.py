"""The gate of the example's test stacks: `system-ready`, a second init that the tests' container waits for."""

from __future__ import annotations

import yaml

from e2e.images import EXAMPLE
from e2e.moments import moment
from e2e.stack import Stack


def check_gate(stack: Stack) -> None:
    """Run the tests' container from nothing, as the file says at its head, and look at what was before it.

    The engine must have init as compose.yaml defines it, and each must have started after what it waits for.
    """
    done = stack.compose("run", "--name", f"{stack.project}-tests", "tests", check=False, timeout=300)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr

    deployed = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]["init"]
    init = stack.inspect("init")
    assert init["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    health = init["Config"]["Healthcheck"]
    assert health["Test"] == deployed["healthcheck"]["test"]
    assert (health["StartPeriod"], health["StartInterval"], health["Interval"]) == (900e9, 500e6, 30e9)

    initialized, gate = stack.record(), stack.record("system-ready")
    assert (initialized["outcome"], gate["outcome"]) == ("ready", "ready")
    assert moment(stack.state("system-ready")["StartedAt"]) > initialized["ended"]
    assert moment(stack.state("tests")["StartedAt"]) > gate["ended"]
    assert stack.health("init") == stack.health("system-ready") == "healthy", "both hold"
