"""`pre_start` hooks that several services share, in other forms than the rule's own case."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from unit.compose.case import CASES, compose_config, docker_environment, findings, run

STACK = """\
services:
  db: {{image: postgres, healthcheck: {{test: pg_isready -h 127.0.0.1}}}}
  web:
    image: app
    build: {{dockerfile_inline: '{dockerfile}'}}
    pre_start: &hooks
      - command: {command}
    {web}
  worker:
    image: app
    {worker}
    pre_start: *hooks
"""
SHARED = (CASES / "rules" / "shared-pre-start" / "bad.yaml").read_text()


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def _write(folder: Path, **parts: str) -> None:
    given = {"dockerfile": "FROM debian", "command": "seed --all", "web": "", "worker": "", **parts}
    (folder / "compose.yaml").write_text(STACK.format(**given))


def _services(folder: Path) -> dict[str, dict[str, object]]:
    return dict(yaml.safe_load((folder / "compose.yaml").read_text())["services"])


@pytest.mark.parametrize("wrap", ["inithold", "shell"])
@pytest.mark.parametrize(
    ("dockerfile", "before"),
    [("FROM debian", []), ('FROM debian\\nENTRYPOINT ["/entry", "$HOME"]', ["/entry", "$$HOME"])],
)
def test_the_entrypoint_of_the_image_comes_first(
    wrap: str, dockerfile: str, before: list[str], tmp_path: Path
) -> None:
    _write(tmp_path)
    text = (
        (tmp_path / "compose.yaml").read_text().replace("'FROM debian'", f'"{dockerfile}"'.replace('["/', '[\\"/'))
    )
    text = text.replace('/entry", "$HOME"]', '/entry\\", \\"$$HOME\\"]')
    (tmp_path / "compose.yaml").write_text(text)
    outcome = run(tmp_path, "fix", "--wrap", wrap)
    assert outcome.code == 0, outcome.output
    assert "note: gained: init runs once for web, worker" in outcome.output
    assert "lost: it no longer runs before each new container of theirs" in outcome.output
    services = _services(tmp_path)
    init = services["init"]
    words = [*(init.get("entrypoint") or []), *init["command"]]  # type: ignore[misc]
    assert words[-len(before) - 2 :] == [*before, "seed", "--all"]
    assert words[:3] == (["inithold", "run", "--"] if wrap == "inithold" else ["sh", "-c", words[2]])
    for name in ("web", "worker"):
        assert "pre_start" not in services[name]
        assert services[name]["depends_on"] == {"init": {"condition": "service_healthy"}}
    assert findings(tmp_path, []) == []


@pytest.mark.parametrize("own", ["", "entrypoint: [/own]"])
def test_a_hook_keeps_the_entrypoint_of_its_service(own: str, tmp_path: Path) -> None:
    """As with Compose 5.6.1 (`tests/e2e/test_hooks.py`); one of the hook's own counts alone."""
    both = "entrypoint: [/entry, --log]"
    _write(tmp_path, web=f"  {own}\n    {both}" if own else both, worker=both)
    text = (tmp_path / "compose.yaml").read_text().replace(f"\n      {own}\n", f"\n        {own}\n")
    (tmp_path / "compose.yaml").write_text(text)
    kept = "the entrypoint of web comes before its command, as with Compose 5.6.1"
    assert (kept in run(tmp_path, "check").output) == (not own)
    outcome = run(tmp_path, "fix", "--wrap", "inithold")
    assert outcome.code == 0, outcome.output
    assert (kept in outcome.output) == (not own)
    init = _services(tmp_path)["init"]
    before = ["/own"] if own else ["/entry", "--log"]
    assert (init["entrypoint"], init["command"]) == (["inithold", "run", "--", *before], ["seed", "--all"])


def test_hooks_with_other_entrypoints_before_them_are_not_the_same(tmp_path: Path) -> None:
    _write(tmp_path, web="entrypoint: [/entry]", worker="entrypoint: [/another]")
    assert findings(tmp_path, []) == []


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"worker": "environment: {A: b}"}, "its services differ in environment"),
        ({"dockerfile": "FROM app-base"}, "the entrypoint of the image app is unknown"),
        ({"web": "  - command: another"}, "its services have other hooks, too"),
    ],
)
def test_what_cannot_be_told_is_left_to_a_hand(parts: dict[str, str], why: str, tmp_path: Path) -> None:
    _write(tmp_path, **parts)
    before = (tmp_path / "compose.yaml").read_bytes()
    outcome = run(tmp_path, "fix", "--wrap", "inithold")
    assert outcome.code == 1
    assert f"by hand: turn it into one init service: {why}" in outcome.output
    assert (tmp_path / "compose.yaml").read_bytes() == before


def test_the_name_init_is_taken(tmp_path: Path) -> None:
    _write(tmp_path)
    with (tmp_path / "compose.yaml").open("a") as file:
        file.write("  init: {image: server, ports: ['80:80']}\n")
    assert run(tmp_path, "fix", "--wrap", "shell").code == 0
    assert _services(tmp_path)["init-2"]["image"] == "app"


def test_compose_takes_it(tmp_path: Path) -> None:
    docker = docker_environment("5.6.1")
    if docker is None:
        pytest.skip("there is no Compose 5 here")
    (tmp_path / "compose.yaml").write_text(SHARED)
    assert list(compose_config(tmp_path, ["compose.yaml"], docker)["services"]["web"]["pre_start"])
    assert run(tmp_path, "fix", "--wrap", "inithold").code == 0
    services = compose_config(tmp_path, ["compose.yaml"], docker)["services"]
    assert services["init"]["command"] == ["inithold", "run", "--", "alembic", "upgrade", "head"]
    assert set(services["web"]["depends_on"]) == {"db", "init"}


def test_a_circle_is_left_to_a_hand(tmp_path: Path) -> None:
    _write(tmp_path, web="depends_on: [queue]")
    with (tmp_path / "compose.yaml").open("a") as file:
        file.write("  queue: {image: queue, depends_on: [worker]}\n")
    outcome = run(tmp_path, "fix", "--wrap", "shell")
    assert (
        "by hand: turn it into one init service: what its services depend on depends on one of them"
        in outcome.output
    )


def test_the_variables_of_a_hook_add_to_those_of_its_service(tmp_path: Path) -> None:
    _write(
        tmp_path,
        web="  environment: [A=hook]\n    environment: {A: own, B: own}",
        worker="environment: {A: own, B: own}",
    )
    text = (tmp_path / "compose.yaml").read_text().replace("\n      environment: [A", "\n        environment: [A")
    (tmp_path / "compose.yaml").write_text(text)
    assert run(tmp_path, "fix", "--wrap", "shell").code == 0
    assert _services(tmp_path)["init"]["environment"] == {"A": "hook", "B": "own"}


def test_hooks_of_services_that_wait_for_one_another(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  web: {image: app, depends_on: [api], pre_start: [{command: migrate}]}
  api: {image: app, pre_start: [{command: migrate}]}
""")
    assert "the hook `migrate` runs 2 times, for web, api, and again" in run(tmp_path, "check").output
