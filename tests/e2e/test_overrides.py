"""The override files: none weakens init, and the integration pair comes up behind its gate."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.conftest import Maker
from e2e.gates import check_gate
from e2e.stack import DEPENDENTS, Stack

OVERRIDES = (
    "compose.override.yaml",
    "compose.int.yaml",
    "compose.e2e.yaml",
    "compose.scale.yaml",
    "compose.started.yaml",
    "compose.observability.yaml",
    "compose.gates.yaml",
    "compose.verify.yaml",
)
KEPT = ("healthcheck", "restart", "command", "read_only", "tmpfs", "cap_drop", "security_opt")


def services(stack: Stack) -> dict[str, Any]:
    """The services as Compose has merged them, those of profiles too."""
    merged = stack.compose("--profile", "*", "config", "--format", "json").stdout
    found: dict[str, Any] = json.loads(merged)["services"]
    return found


@pytest.mark.parametrize("override", OVERRIDES)
def test_init_is_as_the_deployment_has_it(override: str, make_stack: Maker) -> None:
    alone, with_override = services(make_stack("compose.yaml")), services(make_stack("compose.yaml", override))
    init = alone["init"]
    assert init["restart"] == "unless-stopped"
    assert init["healthcheck"]["start_period"] == "15m0s"
    assert {key: with_override["init"][key] for key in KEPT} == {key: init[key] for key in KEPT}
    for service in DEPENDENTS:
        assert with_override[service]["depends_on"] == alone[service]["depends_on"], service
    waits = {name: on["condition"] for name, on in with_override["init"]["depends_on"].items()}
    condition = "service_started" if override == "compose.started.yaml" else "service_healthy"
    assert waits == {"postgres": condition, "rabbitmq": condition, "grafana-alloy": "service_started"}


def test_integration_tests_run_on_the_initialized_servers(make_stack: Maker) -> None:
    stack = make_stack("compose.yaml", "compose.int.yaml")
    check_gate(stack)
    assert not set(DEPENDENTS) & set(stack.containers()), "the tests have the queues to themselves"
    stack.compose("up", "-d", "--wait")
    assert stack.inspect("init")["RestartCount"] == 0
