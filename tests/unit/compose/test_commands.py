"""What is told of a service from its command and its image."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.compose.case import run_json

ONE_SHOT, COMPLETED = "one-shot-init", "completed-dependent"


def _stack(fields: str) -> str:
    return f"""\
services:
  init:
    image: app
    restart: unless-stopped
    {fields}
  web:
    image: web
    depends_on: {{init: {{condition: service_completed_successfully}}}}
"""


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("command: migrate", ONE_SHOT),
        ("command: inithold run", COMPLETED),
        ("command: inithold run --verify 1m plan.yaml", COMPLETED),
        ("command: inithold run --verify=1m --keep 3 -- migrate", COMPLETED),
        ("command: inithold run --wait tcp://db:5432 -- migrate --once", COMPLETED),
        ("command: sh -c 'exec inithold run'", COMPLETED),
        ("command: python -m inithold run", COMPLETED),
        ("entrypoint: [inithold]\n    command: [run, --verify, 1m]", COMPLETED),
        ("command: inithold run --once", ONE_SHOT),
        ("command: [inithold, run, --only, seed]", ONE_SHOT),
        ("command: inithold run --only=seed", ONE_SHOT),
        ("command: inithold run plan.yaml --from schema", ONE_SHOT),
        ("command: inithold run -- tool --only seed", COMPLETED),
        ("command: inithold run\n    environment: {INITHOLD_ONCE: 'true'}", ONE_SHOT),
        ("command: inithold plan", ONE_SHOT),
        ("command: sh -c 'migrate && touch /tmp/ready && sleep infinity'", COMPLETED),
        ('entrypoint: [""]\n    command: [sh, -c, "migrate; tail -f /dev/null"]', COMPLETED),
    ],
)
def test_one_shot_or_hold(fields: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(_stack(fields))
    assert {ONE_SHOT, COMPLETED} & {str(each["id"]) for each in run_json(tmp_path, [])} == {found}


def test_a_repair_as_an_init_service_is_left_to_a_hand(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(_stack("command: inithold run --only seed"))
    (each,) = run_json(tmp_path, [])
    assert each["fix"] == []
    assert str(each["by_hand"]).startswith("run the whole plan with `inithold run`, which holds")


HEALTH = "HEALTHCHECK CMD /probe"


@pytest.mark.parametrize(
    ("dockerfile", "target", "sees"),
    [
        (f"FROM x\n{HEALTH}\n", "", True),
        ("FROM x\nHEALTHCHECK  NONE\n", "", False),
        (f"FROM x\n{HEALTH}\nHEALTHCHECK NONE\n", "", False),
        (f"FROM x AS base\n{HEALTH}\nFROM base\n", "", True),
        (f"FROM x AS base\n{HEALTH}\nFROM y\n", "", False),
        (f"FROM --platform=linux/amd64 x as Base\n{HEALTH}\nFROM base AS prod\nFROM z AS test\n", "prod", True),
        (f"FROM x AS base\nFROM base AS prod\nFROM z AS test\n{HEALTH}\n", "prod", False),
        ("", "", False),
    ],
)
def test_a_healthcheck_of_the_dockerfile(dockerfile: str, target: str, sees: bool, tmp_path: Path) -> None:
    stack = f"""\
services:
  db: {{build: {{context: ., target: "{target}"}}}}
  web: {{image: web, depends_on: {{db: {{condition: service_healthy}}}}}}
"""
    (tmp_path / "compose.yaml").write_text(stack)
    (tmp_path / "Dockerfile").write_text(dockerfile)
    assert [each["id"] for each in run_json(tmp_path, [])] == ([] if sees else ["healthy-without-healthcheck"])
    inline = "".join(f"          {line}\n" for line in dockerfile.splitlines())
    (tmp_path / "compose.yaml").write_text(
        stack.replace(
            f'{{build: {{context: ., target: "{target}"}}}}',
            f'\n    build:\n      target: "{target}"\n      dockerfile_inline: |\n{inline}',
        )
    )
    (tmp_path / "Dockerfile").unlink()
    assert [each["id"] for each in run_json(tmp_path, [])] == ([] if sees else ["healthy-without-healthcheck"])
