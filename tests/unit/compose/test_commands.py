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


HELD = """\
services:
  init:
    image: {image}
    command: {command}
    restart: unless-stopped
    volumes: ["./plan.yaml:/inithold.yaml"]
    healthcheck:
      test: ["CMD", "inithold", "health"]
      start_period: {period}
      start_interval: 500ms
"""
PLAN = "version: 1\nsteps: [{id: a, uses: file.ready, timeout: 2m, with: {path: /a}}]\n"


@pytest.mark.parametrize(
    ("command", "period", "plan", "wanted"),
    [
        ("inithold run", "2m", PLAN, None),
        ("inithold run", "1m", PLAN, "15m"),
        ("inithold run --verify 1m", "2m", PLAN + "hold: {verify: 1m}\n", None),
        ("inithold run --wait tcp://db:5432", "11m", PLAN, "15m"),
        ("inithold run --wait tcp://db:5432", "12m", PLAN, None),
        ("inithold run --wait=tcp://db:5432", "5m", PLAN + "timeout: 4m\n", None),
        ("inithold run --wait tcp://db:5432 -- migrate", "5m", PLAN, "15m"),
        ("inithold run --wait tcp://db:5432 -- migrate", "10m", PLAN, None),
        ("inithold run -- migrate --wait x", "1s", PLAN, None),
        ("inithold run --verify 1m", "1m", PLAN + "timeout: 1h\n", "61m"),
    ],
)
def test_the_start_period_covers_plan_and_waits(
    command: str, period: str, plan: str, wanted: str | None, tmp_path: Path
) -> None:
    (tmp_path / "plan.yaml").write_text(plan)
    (tmp_path / "compose.yaml").write_text(HELD.format(image="app", command=command, period=period))
    found = run_json(tmp_path, [])
    assert [each["id"] for each in found] == ([] if wanted is None else ["short-start-period"])
    if wanted is not None:
        assert found[0]["fix"] == [{"service": "init", "path": ["healthcheck", "start_period"], "value": wanted}]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("restart_policy: {condition: none}", "restart: no: "),
        ("restart_policy: {delay: 5s}", "no restart policy: "),
        ("restart_policy: {condition: any}", None),
        ("restart_policy: {condition: on-failure, max_attempts: 3}", "restart: on-failure: "),
        ("restart_policy: {condition: unless-stopped}", None),
        ("labels: {a: b}", None),
    ],
)
def test_a_policy_in_deploy_decides(policy: str, message: str | None, tmp_path: Path) -> None:
    stack = HELD.format(image="app", command="inithold run", period="15m") + f"    deploy:\n      {policy}\n"
    (tmp_path / "compose.yaml").write_text(stack)
    found = run_json(tmp_path, [])
    assert [str(each["message"]).startswith(str(message)) for each in found] == [True] * (message is not None)
    path = ["deploy", "restart_policy"]
    for each in found:
        fix = [{"service": "init", "path": [*path, "condition"], "value": "any"}]
        if "max_attempts" in policy:
            fix.append({"service": "init", "path": [*path, "max_attempts"], "remove": True})
        assert (each["line"], each["fix"]) == (12, fix)


@pytest.mark.parametrize(
    ("image", "count"), [("ghcr.io/acme/inithold:1.2", 0), ("inithold", 0), ("inithold-app", 1)]
)
def test_the_image_of_inithold_has_a_healthcheck(image: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  init: {{image: {image}, command: [run], restart: unless-stopped}}\n"
        "  web: {image: web, depends_on: {init: {condition: service_healthy}}}\n"
    )
    assert len(run_json(tmp_path, [])) == count


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("environment: {HOST: db}", True),
        ("environment: [HOST=db]", True),
        ("environment: {URL: 'postgresql://me:x@db:5432/app'}", True),
        ("environment: {URL: 'amqp://a,db,c/'}", True),
        ("environment: {DSN: host=db port=5432 user=me}", True),
        ("environment: {DSN: 'Server=db;Port=5432'}", True),
        ("command: [worker, --broker, 'redis://:x@db:6379/0']", True),
        ("command: worker --broker amqp://db", True),
        ("entrypoint: [sh, -c, 'exec serve http://db/x']", True),
        ("depends_on: [db]", True),
        ("environment: {TITLE: db and more, MORE: adb, X: 'http://dbs/'}", False),
        ("command: [dump, db]", False),
        ("command: inithold wait postgresql://me@db/app -- serve", False),
    ],
)
def test_who_reaches_what_init_prepares(fields: str, found: bool, tmp_path: Path) -> None:
    held = HELD.format(image="app", command="inithold run --wait tcp://db:5432 -- migrate", period="15m")
    (tmp_path / "compose.yaml").write_text(
        f"{held}  db: {{image: postgres}}\n  worker:\n    image: worker\n    {fields}\n"
    )
    assert [each["id"] for each in run_json(tmp_path, [])] == ["dependent-skips-init"] * found
