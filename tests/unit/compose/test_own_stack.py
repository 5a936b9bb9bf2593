"""A stack of several files moves over by one command, and is clean in each combination that it is started with."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from unit.compose.announced import assert_only_concerned
from unit.compose.case import (
    CASES,
    COMPOSE_VERSIONS,
    compose_config,
    docker_environment,
    findings,
    options_of,
    run,
)

CASE = CASES / "projects" / "users-own-stack"
COMBINATIONS = [
    ["compose.yaml"],
    ["compose.yaml", "compose.override.yaml"],
    ["compose.yaml", "compose.e2e.yaml"],
    ["compose.yaml", "compose.int.yaml"],
    ["compose.yaml", "compose.override.yaml", "compose.int.yaml"],
]
VARIABLES = ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "DATABASE_URL", "RABBITMQ_URL")


@pytest.fixture
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    folder = Path(shutil.copytree(CASE / "bad", tmp_path / "stack"))
    outcome = run(folder, "fix", *options_of(CASE))
    assert outcome.code == 0, outcome.output
    assert "note: the image shop-init:latest must contain inithold" in outcome.output
    return folder


def _options(files: list[str]) -> list[str]:
    return [word for name in files for word in ("-f", name)]


@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(files[1:]) or "alone")
def test_each_combination_is_found_and_then_clean(files: list[str], fixed: Path) -> None:
    assert "one-shot-init" in " ".join(findings(CASE / "bad", _options(files)))
    assert findings(fixed, _options(files)) == []


def test_only_what_is_concerned_changes(fixed: Path) -> None:
    init = {("init", field) for field in ("entrypoint", "restart", "healthcheck")}
    for path in sorted(fixed.glob("*.yaml")):
        old, new = (CASE / "bad" / path.name).read_text(), path.read_text()
        services = re.findall(r"(?m)^  ([\w-]+):", old)
        assert_only_concerned(old, new, init | {(name, "depends_on") for name in services})
        assert "service_completed_successfully" not in new
        assert 'restart: "no"' not in new
    assert (fixed / "compose.override.yaml").read_bytes() == (CASE / "bad" / "compose.override.yaml").read_bytes()


@pytest.mark.parametrize("version", COMPOSE_VERSIONS)
@pytest.mark.parametrize("files", COMBINATIONS, ids=lambda files: "+".join(files[1:]) or "alone")
def test_compose_takes_it(files: list[str], version: str, fixed: Path) -> None:
    docker = docker_environment(version)
    if docker is None:
        pytest.skip("there is no `docker compose` here and no test engine to take it from")
    services = compose_config(fixed, files, {**docker, **dict.fromkeys(VARIABLES, "x")})["services"]
    words = ["inithold", "run", "--", "python3", "-u", "-m", "services.init.main"]
    assert services["init"]["entrypoint"] == words
    assert services["init"]["restart"] == "unless-stopped"
    waiting = {
        name: service["depends_on"]["init"]["condition"]
        for name, service in services.items()
        if "init" in service.get("depends_on", {})
    }
    assert {"bot", "api", "notification-daemon", "status-transition-daemon", "retry"} <= set(waiting)
    assert set(waiting.values()) == {"service_healthy"}


@pytest.mark.parametrize(
    "healthcheck", ["{disable: true}", "{test: [NONE]}", "{interval: 1s}", '{test: ["CMD", "ls", "/done"]}']
)
@pytest.mark.parametrize("wrap", ["inithold", "shell"])
def test_a_healthcheck_in_an_override_alone(
    healthcheck: str, wrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first file needs does not go where only the override has a word on it."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    folder = Path(shutil.copytree(CASE / "bad", tmp_path / "stack"))
    path = folder / "compose.int.yaml"
    text = path.read_text()
    path.write_text(text.replace('    restart: "no"\n', f'    restart: "no"\n    healthcheck: {healthcheck}\n'))
    assert path.read_text() != text
    options = [word for word in options_of(CASE) if word not in ("--wrap", "inithold")]
    outcome = run(folder, "fix", "--wrap", wrap, *options)
    assert outcome.code == 0, outcome.output
    for files in COMBINATIONS:
        assert findings(folder, _options(files)) == [], files
