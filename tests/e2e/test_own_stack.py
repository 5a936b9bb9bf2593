"""A stack of several files after `compose fix --wrap inithold`: init runs once; one that fails blocks all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.engine import Engine
from e2e.images import Images
from e2e.project import COMPOSE_2, COMPOSE_5, Project
from unit.compose.case import CASES

FILES = ("compose.yaml", "compose.override.yaml", "compose.e2e.yaml", "compose.int.yaml")
DEPENDENTS = ("bot", "api", "notification-daemon", "status-transition-daemon", "retry")
OPERATIONS = (
    ("up -d --wait",),
    ("up -d",),
    ("up -d --wait",),
    ("restart -t 1 bot",),
    ("up -d --force-recreate -t 1 bot",),
    ("kill bot", "up -d"),
    ("up -d --scale bot=2",),
    ("run --rm -T bot true",),
)
IDLE = "{image: standin/busybox:1, pull_policy: never, init: true, command: sleep 600, stop_grace_period: 1s}"
PATIENT = "interval: 30s, start_period: 2m, start_interval: 500ms"
STAND_INS = f"""\
services:
  postgres: {{image: standin/postgres:17, pull_policy: never, healthcheck: {{{PATIENT}}}}}
  rabbitmq: {{image: standin/redis:7, pull_policy: never, healthcheck: {{test: redis-cli ping, {PATIENT}}}}}
  grafana-alloy: {IDLE}
  init: {{pull_policy: never, volumes: ["./data:/data"]}}
""" + "".join(f"  {name}: {IDLE}\n" for name in DEPENDENTS)
MAIN = """\
import pathlib, sys
with open("/data/runs", "a") as runs:
    print("run", file=runs)
sys.exit("no schema" if pathlib.Path("/data/fail").exists() else 0)
"""
DOCKERFILE = """\
FROM {image}
USER root
COPY services/ ./services/
ENTRYPOINT ["python3", "-u", "-m", "services.init.main"]
CMD []
"""


@pytest.fixture(scope="module")
def tag(engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tag of an image of the stack's init that contains inithold."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "services" / "init").mkdir(parents=True)
    (folder / "services" / "init" / "main.py").write_text(MAIN)
    (folder / "Dockerfile").write_text(DOCKERFILE.format(image=images.inithold))
    tag = uuid.uuid4().hex[:10]
    engine.docker("build", "-q", "-t", f"shop-init:{tag}", str(folder))
    yield tag
    engine.docker("rmi", "-f", f"shop-init:{tag}", check=False)


@pytest.mark.parametrize("version", [COMPOSE_2, COMPOSE_5])
def test_init_runs_once_and_blocks_all_when_it_fails(
    version: str, engine: Engine, tag: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(CASES / "projects" / "users-own-stack" / "bad", tmp_path / "stack"))
    named = dict.fromkeys(("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"), "app12345")
    made = Project(engine, folder, {**named, "DATABASE_URL": "x", "RABBITMQ_URL": "x", "IMAGE_TAG": tag}, version)
    made.environment["CONTAINER_PREFIX"] = made.name
    fixed = made.inithold("fix", "--wrap", "inithold", *[word for name in FILES for word in ("-f", name)])
    assert f"note: the image shop-init:{tag} must contain inithold" in fixed.stdout
    (folder / "stand-ins.yaml").write_text(STAND_INS)
    made.environment["COMPOSE_FILE"] = "compose.yaml:stand-ins.yaml"
    runs = folder / "data" / "runs"
    try:
        for commands in OPERATIONS:
            for command in commands:
                made.compose(*command.split())
            assert runs.read_text() == "run\n", commands
        made.compose("down", "-t", "1")
        (folder / "data" / "fail").touch()
        failed = made.compose("up", "-d", check=False)
        assert failed.returncode != 0
        running = made.compose("ps", "--status", "running", "--services").stdout.split()
        assert not set(running) & set(DEPENDENTS)
    finally:
        made.remove()
