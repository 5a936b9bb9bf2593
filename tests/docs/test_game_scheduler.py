"""examples/game-scheduler keeps what its README and .env.example promise: names, variables, sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import ROOT

EXAMPLE = ROOT / "examples" / "game-scheduler"
FILES = sorted([*EXAMPLE.glob("compose*.yaml"), EXAMPLE / "stack.yaml"])
DEPENDENTS = ("api", "bot", "notification-daemon", "status-transition-daemon", "retry")
SERVERS = {"postgres": "POSTGRES_IMAGE", "rabbitmq": "RABBITMQ_IMAGE", "grafana-alloy": "ALLOY_IMAGE"}
NOT_A_DEFAULT = {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "SEED_DATA"}
"""What .env.example sets: what has no default, and test data for a first look."""
EXAMPLES_ONLY = {"IMAGE_REGISTRY", "OTLP_FORWARD_ENDPOINT", "CONTAINER_PREFIX", "DISCORD_API_URL"}
"""Their default is empty or another's; .env.example shows what one may look like, and says so."""


VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::?-((?:[^{}]|\{[^{}]*\})*)|:\?[^}]*)?\}")


def used() -> Iterator[tuple[str, str]]:
    """The variables of all Compose files, each with its default."""
    for path in FILES:
        yield from VARIABLE.findall(path.read_text())


def shown() -> dict[str, tuple[str, bool]]:
    """What .env.example shows: value, and whether it is set."""
    lines = re.findall(r"^(#?)([A-Z_]+)=(.*)$", (EXAMPLE / ".env.example").read_text(), re.MULTILINE)
    return {name: (value, not comment) for comment, name, value in lines}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
    return found


def test_every_variable_is_in_the_example_of_env() -> None:
    names = {name for name, _ in used()} - {"COMPOSE_PROJECT_NAME"}  # Compose's own
    assert names == set(shown())


def test_defaults_are_shown_as_they_are() -> None:
    defaults: dict[str, set[str]] = {}
    for name, default in used():
        defaults.setdefault(name, set()).add(default or "")
    for name, (value, is_set) in shown().items():
        assert is_set == (name in NOT_A_DEFAULT), name
        if name not in NOT_A_DEFAULT | EXAMPLES_ONLY:
            assert defaults[name] - {""} == {value.strip('"')} - {""}, name


def test_what_every_service_has(services: dict[str, Any]) -> None:
    assert set(services) == {*SERVERS, "init", *DEPENDENTS}
    text = (EXAMPLE / "compose.yaml").read_text()
    for name, service in services.items():
        assert service["container_name"] == f"${{CONTAINER_PREFIX:-${{COMPOSE_PROJECT_NAME}}}}-{name}"
        assert service["networks"] == ["game-scheduler"]
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
        assert set(service["labels"]) == {"com.example.stack", "com.example.environment"}
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]
    assert "logging: *logging" in text and "labels: *labels" in text


def test_images_are_variables_with_registry_and_tag(services: dict[str, Any]) -> None:
    for name, variable in SERVERS.items():
        assert re.fullmatch(rf"\$\{{{variable}:-[\w/-]+:[\w.-]+\}}", services[name]["image"]), name
    for name in ("init", *DEPENDENTS):
        assert services[name]["image"] == "${IMAGE_REGISTRY:-}game-scheduler:${IMAGE_TAG:-latest}"


def test_init_is_wired_as_it_should_be(services: dict[str, Any]) -> None:
    init = services["init"]
    assert init["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "rabbitmq": {"condition": "service_healthy"},
        "grafana-alloy": {"condition": "service_started"},
    }
    otel = {name: value for name, value in init["environment"].items() if name.startswith("OTEL_")}
    assert otel["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://grafana-alloy:4318"
    assert otel["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert [otel[f"OTEL_{signal}_EXPORTER"] for signal in ("TRACES", "METRICS", "LOGS")] == ["otlp"] * 3
    for name in DEPENDENTS:
        waits = {"init": {"condition": "service_healthy"}, "grafana-alloy": {"condition": "service_started"}}
        assert services[name]["depends_on"] == waits


def test_alloy_receives_what_init_sends(services: dict[str, Any]) -> None:
    mounted = "./config.alloy:/etc/alloy/config.alloy:ro"
    assert services["grafana-alloy"]["volumes"] == [mounted]
    receiver = (EXAMPLE / "config.alloy").read_text().partition("otelcol.receiver.otlp")[2]
    assert re.match(r'.*?http \{\s*endpoint = "0\.0\.0\.0:4318"', receiver, re.DOTALL)


def test_swarm_modes_are_variables() -> None:
    stack = yaml.safe_load((EXAMPLE / "stack.yaml").read_text())["services"]
    assert {service["deploy"]["endpoint_mode"] for service in stack.values()} == {"${ENDPOINT_MODE:-vip}"}
    (port,) = stack["api"]["ports"]
    assert port["mode"] == "${PORT_MODE:-ingress}"
    for name in DEPENDENTS:
        assert stack[name]["command"][:2] == ["inithold", "wait"]
        assert "depends_on" not in stack[name]


@pytest.mark.parametrize("name", DEPENDENTS)
def test_a_dependent_is_a_hundred_lines_at_most(name: str) -> None:
    files = list((EXAMPLE / "services" / name.replace("-", "_")).glob("*.py"))
    assert files
    assert all(lines(path) <= 100 for path in files)


def test_init_in_python_is_a_dozen_statements() -> None:
    text = (EXAMPLE / "services" / "init" / "main.py").read_text()
    import ast

    statements = [node for node in ast.parse(text).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(statements) - 1 <= 14  # less the docstring
    assert lines(EXAMPLE / "services" / "init" / "main.py") <= 30


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_measurements_name_the_test_that_makes_them() -> None:
    measured = (EXAMPLE / "README.md").read_text().partition("## Measured")[2]
    tests = set(re.findall(r"tests/e2e/test_\w+\.py", measured))
    for path in tests:
        assert "print(" in (ROOT / path).read_text(), f"{path} prints what it measures"
    assert len(tests) == 7
