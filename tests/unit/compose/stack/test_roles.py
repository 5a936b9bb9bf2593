"""What an init service is: the one judgement."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.compose.read.project import load_project
from inithold.compose.stack.roles import named_for_init, read_stack, restart_policy

COMPLETED = "depends_on: {it: {condition: service_completed_successfully}}"
HEALTHY = "depends_on: {it: {condition: service_healthy}}"
SHORT = "depends_on: [it]"
NOBODY = ""
MARKER = "healthcheck: {test: test -f /tmp/init-complete}"

SURE_ONE_SHOT, SURE_HELD, PROBABLE_HELD, NONE = "one-shot", "held", "probably held", "none"
PROBABLE = "probable"


def judged(folder: Path, name: str, service: str, dependent: str) -> str:
    waits = dependent.replace("it:", f"{name}:").replace("[it]", f"[{name}]")
    image = "" if "image:" in service else "image: x, "
    text = f"services:\n  {name}: {{{image}{service}}}\n  app: {{image: x, {waits}}}\n"
    (folder / "compose.yaml").write_text(text)
    stack = read_stack(load_project(["compose.yaml"], folder=folder, environment={}))
    assert not stack.inits.keys() & stack.probable.keys()
    assert "app" not in {*stack.inits, *stack.probable}
    init = stack.inits.get(name) or stack.probable.get(name)
    if init is None:
        return NONE
    assert init.sure or init.held or name in stack.probable
    return (SURE_HELD if init.held else SURE_ONE_SHOT) if init.sure else (PROBABLE_HELD if init.held else PROBABLE)


@pytest.mark.parametrize(
    ("name", "service", "dependent", "expected"),
    [
        ("job", "command: x", COMPLETED, SURE_ONE_SHOT),
        ("job", "command: x, restart: always", COMPLETED, SURE_ONE_SHOT),
        ("migrate", "command: x, restart: 'no'", SHORT, SURE_ONE_SHOT),
        ("schema", "command: alembic upgrade head", SHORT, SURE_ONE_SHOT),
        ("schema", "image: 'flyway/flyway:11', command: migrate", SHORT, SURE_ONE_SHOT),
        ("schema", "image: minio/mc, entrypoint: [sh, -c, 'mc alias set a b; mc mb a/c']", SHORT, SURE_ONE_SHOT),
        ("schema", "command: alembic upgrade head", NOBODY, PROBABLE),
        ("schema", "command: alembic upgrade head, restart: always", SHORT, PROBABLE),
        ("schema", "command: sh -c 'alembic upgrade head && ./serve'", SHORT, NONE),
        ("schema", "command: npx drizzle-kit studio", SHORT, NONE),
        ("flyway-ui", "command: java -jar flyway-service.jar", SHORT, NONE),
        ("ping", "command: curl http://app", SHORT, NONE),
        ("migrate", "command: x, restart: 'on-failure:3'", SHORT, SURE_ONE_SHOT),
        ("setup", "command: x, deploy: {restart_policy: {condition: none}}", SHORT, SURE_ONE_SHOT),
        ("createbuckets", "command: x", SHORT, PROBABLE),
        ("migrate", "command: x, restart: 'no'", NOBODY, PROBABLE),
        ("seed", "command: x", NOBODY, PROBABLE),
        ("migrate", "command: x, restart: always", NOBODY, NONE),
        ("migrate", "command: x, restart: unless-stopped", SHORT, NONE),
        ("setup", "command: x, deploy: {restart_policy: {condition: any}}", SHORT, NONE),
        ("migrate", "command: alembic upgrade head, restart: always", SHORT, PROBABLE),
        ("migrate", "command: 'sh -c \"alembic upgrade head && ./serve\"', restart: always", SHORT, NONE),
        ("cassandra-seed", "image: 'cassandra:4'", SHORT, NONE),
        ("prefect-init", "command: prefect server start", SHORT, NONE),
        ("bootstrap", "command: daemon --migrate", SHORT, NONE),
        ("setup", "command: x, restart: 'no', ports: ['80:80']", SHORT, NONE),
        ("bootstrap", "command: x, healthcheck: {test: curl -f http://localhost}", HEALTHY, NONE),
        ("job", "command: x, restart: 'no'", SHORT, NONE),
        ("init", "command: inithold run", HEALTHY, SURE_HELD),
        ("job", "command: inithold run", NOBODY, SURE_HELD),
        ("job", "command: inithold run --once", COMPLETED, SURE_ONE_SHOT),
        ("job", "command: 'sh -c \"x && touch /tmp/done && sleep infinity\"'", NOBODY, SURE_HELD),
        ("job", f"command: 'sh -c \"x; sleep infinity\"', {MARKER}", HEALTHY, SURE_HELD),
        ("job", f"command: x, {MARKER}", HEALTHY, PROBABLE_HELD),
        ("job", f"command: x, restart: unless-stopped, {MARKER}", HEALTHY, SURE_HELD),
        ("job", f"command: x, restart: on-failure, {MARKER}", HEALTHY, PROBABLE_HELD),
        ("job", f"command: alembic upgrade head, {MARKER}", HEALTHY, SURE_ONE_SHOT),
        ("job", f"command: 'sh -c \"./setup && touch /tmp/init-complete\"', {MARKER}", HEALTHY, SURE_ONE_SHOT),
        ("init", "command: x, healthcheck: {test: test -f /tmp/ready}", HEALTHY, PROBABLE_HELD),
        ("setup", "command: x, healthcheck: {test: '[ -f certs/ca.crt ]'}", HEALTHY, PROBABLE_HELD),
        (
            "setup",
            "command: 'sh -c \"./x; echo ok\"', healthcheck: {test: '[ -f ca.crt ]'}",
            HEALTHY,
            SURE_ONE_SHOT,
        ),
        (
            "job",
            f"command: 'sh -c \"./x; touch /tmp/init-complete; sleep 600\"', {MARKER}",
            HEALTHY,
            SURE_ONE_SHOT,
        ),
        ("web", "command: x, healthcheck: {test: '[ -f certs/ca.crt ]'}", HEALTHY, NONE),
        ("create-buckets", "command: 'sh -c \"mc mb s3/it; exit 0\"'", SHORT, SURE_ONE_SHOT),
        ("migrate", "command: alembic upgrade head", SHORT, SURE_ONE_SHOT),
        ("migrate", "command: mongos --configdb it", SHORT, PROBABLE),
        ("job", "command: x, healthcheck: {test: test -f /tmp/ready}", HEALTHY, NONE),
        ("job", "command: x, healthcheck: {test: test -f /tmp/heartbeat}", HEALTHY, NONE),
        ("seed-worker", f"command: x, {MARKER}", HEALTHY, NONE),
        ("setup-api", "command: x, restart: 'no'", SHORT, NONE),
        ("job", "command: 'sh -c \"while true; do ./work; touch /tmp/heartbeat; sleep 5; done\"'", SHORT, NONE),
        ("job", "command: 'sh -c \"./setup; touch /tmp/ok; while true; do sleep 60; done\"'", SHORT, SURE_HELD),
        ("job", "command: [python, -c, 'while True: work(); time.sleep(5)']", SHORT, NONE),
        ("web", "command: nginx, healthcheck: {test: test -f /run/nginx.pid}", HEALTHY, NONE),
    ],
)
def test_judged(name: str, service: str, dependent: str, expected: str, tmp_path: Path) -> None:
    assert judged(tmp_path, name, service, dependent) == expected


@pytest.mark.parametrize(
    "name",
    [
        *(
            "init",
            "db-init",
            "initdb",
            "init2",
            "migrate",
            "migrations",
            "db_migrator",
            "setup",
            "bootstrap",
            "seed",
        ),
        *("configurator", "createbuckets", "minio-createbucket", "create-topics", "Create-Users", "kafka-setup"),
        *(
            "provisioner",
            "prestart",
            "volume-permissions",
            "dbmigrate",
            "airflow-init",
            "temporal-create-namespace",
        ),
    ],
)
def test_names(name: str) -> None:
    assert named_for_init(name)


@pytest.mark.parametrize(
    "name",
    [
        "web",
        "initiative",
        "seedbox",
        "reseeder",
        "setup-ui",
        "migration-worker",
        "creator",
        "recreate",
        "api",
        "Initiative",
    ],
)
def test_other_names(name: str) -> None:
    assert not named_for_init(name)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("restart: 'no'", "no"),
        ("restart: 'on-failure:3'", "on-failure"),
        ("image: x", ""),
        ("restart: always, deploy: {restart_policy: {condition: none}}", "no"),
        ("deploy: {restart_policy: {condition: any}}", "always"),
        ("deploy: {restart_policy: {delay: 5s}}", "no"),
        ("restart: unless-stopped", "unless-stopped"),
    ],
)
def test_restart_policies(service: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"services: {{it: {{{service}}}}}")
    stack = load_project(["compose.yaml"], folder=tmp_path, environment={})
    assert restart_policy(stack.services["it"]) == expected


def test_an_entrypoint_in_the_dockerfile_counts(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {it: {build: .}}")
    (tmp_path / "Dockerfile").write_text('FROM python\nENTRYPOINT ["inithold", "run"]')
    stack = read_stack(load_project(["compose.yaml"], folder=tmp_path, environment={}))
    assert stack.inits["it"].held
