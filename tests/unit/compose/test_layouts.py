"""Layouts that people write and few expect: only the spans concerned change, and the stack as announced."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from inithold.compose.fix import fix_stack
from inithold.compose.read.project import load_project
from inithold.compose.stack.roles import Stack, Wrap, read_stack
from unit.compose.announced import RAW, announce, assert_only_concerned, comparable
from unit.compose.case import CASES, compose_config, docker_environment, run

LAYOUTS = sorted((CASES / "layouts").iterdir())


Config = Callable[[bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config | None:
    """What `docker compose config` makes of the services of a file, asked once for each text."""
    docker, folder = docker_environment(), tmp_path_factory.mktemp("config")
    if docker is None:
        return None

    @cache
    def ask(text: bytes) -> dict[str, Any]:
        (folder / "compose.yaml").write_bytes(text)
        services: dict[str, Any] = compose_config(folder, ["compose.yaml"], docker, *RAW)["services"]
        return services

    return lambda text: deepcopy(ask(text))


@pytest.mark.parametrize("wrap", list(Wrap))
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda path: path.stem)
def test_layout(layout: Path, wrap: Wrap, tmp_path: Path, config: Config | None) -> None:
    path = tmp_path / "compose.yaml"
    old = layout.read_bytes().decode()
    path.write_bytes(old.encode())

    def load(texts: dict[Path, str]) -> Stack:
        stack = read_stack(load_project([path.name], folder=tmp_path, environment={}, texts=texts))
        stack.wrap = wrap
        return stack

    fixed = fix_stack(load, (), unsafe=False)
    changes = [change for finding in fixed.fixed for change in finding.changes]
    for text in fixed.texts.values():
        assert_only_concerned(old, text, {(change.service, change.path[0]) for change in changes})
        path.write_bytes(text.encode())
    written = path.read_bytes()
    if config:
        before = config(old.encode())
        announce(before, changes)
        assert comparable(config(written)) == comparable(before)
    run(tmp_path, "fix", "--wrap", wrap.value)
    assert path.read_bytes() == written, "a second fix changed something"
    assert fixed.fixed or fixed.refused, "nothing was to be done"


def test_what_one_fix_makes_possible_is_fixed_by_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "x-after: &after\n  init: {condition: service_completed_successfully}\n"
        "services:\n"
        "  db: {image: postgres}\n"
        "  init:\n    image: app\n    depends_on: [db]\n    restart: unless-stopped\n"
        "    command: [sh, -c, ./setup && touch /tmp/ready && sleep infinity]\n"
        "    healthcheck: {test: [CMD, test, -f, /tmp/init-complete], disable: true, start_period: 20m}\n"
        "  web0:\n    image: web\n    depends_on:\n      <<: *after\n      db: {condition: service_started}\n"
        "  web1:\n    image: web\n    depends_on: *after\n"
    )
    (tmp_path / "compose.override.yaml").write_text("services:\n  web0:\n    depends_on: [init]\n")
    run(tmp_path, "fix")
    once = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert "service_completed_successfully" not in "".join(once)
    run(tmp_path, "fix")
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == once
