"""The images under test: inithold's own, the example's, and that of the example's tests.

They are built once for all workers of a run, and removed after it. INITHOLD_TEST_IMAGES=NAME/ takes those that are
there under this name, builds them if they are not, and keeps them: quick, but not what the sources say now.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.engine import REPOSITORY, TOOL, Engine
from e2e.sharing import locked, shared

EXAMPLE = REPOSITORY / "examples" / "game-scheduler"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inithold-tests"
"""Keeps what was downloaded between runs."""
STAND_INS = {
    "POSTGRES_IMAGE": "standin/postgres:17",
    "RABBITMQ_IMAGE": "standin/rabbitmq:4",
    "ALLOY_IMAGE": "standin/collector:1",
    "BASE_IMAGE": "standin/python:3.13",
    "PULL_POLICY": "never",
}


@dataclass(frozen=True)
class Images:
    """Where the images are.

    Args:
        registry: prefix of the names of images built here, as IMAGE_REGISTRY.
        inithold: name of the image of image/Dockerfile.
        base: name of its base.
        wheels: folder of wheels that builds install from; empty where builds reach an index.
    """

    registry: str
    inithold: str
    base: str
    wheels: str

    @property
    def example(self) -> str:
        """The image of the example's services and its init."""
        return f"{self.registry}game-scheduler:latest"

    def variables(self) -> dict[str, str]:
        """The example's variables, so that Compose takes these images and no others."""
        stand_ins = STAND_INS if self.wheels else {}
        wheels = {"WHEELS_DIR": self.wheels} if self.wheels else {}
        return {**stand_ins, **wheels, "IMAGE_REGISTRY": self.registry, "APP_PULL_POLICY": "never"}


@contextmanager
def built(engine: Engine) -> Iterator[Images]:
    """The images, built by whoever comes first and removed by whoever leaves last."""
    if kept := os.environ.get("INITHOLD_TEST_IMAGES"):
        with locked("images"):
            images = _build(engine, kept)
        yield images
        return

    def remove(images: Images) -> None:
        tests = f"{images.registry}game-scheduler-tests:latest"
        engine.run("docker", "rmi", "-f", images.inithold, images.example, tests, check=False)

    with shared("images", lambda: _build(engine, f"inithold-e2e-{uuid.uuid4().hex[:8]}/"), remove) as images:
        yield images


def _build(engine: Engine, registry: str) -> Images:
    if engine.stand_ins:
        engine.run(str(TOOL), "images", timeout=400)
    base = STAND_INS["BASE_IMAGE"] if engine.stand_ins else "python:3.13-slim"
    images = Images(registry, f"{registry}inithold:latest", base, _wheels(engine) if engine.stand_ins else "")
    if engine.docker("images", "-q", images.example, check=False):
        return images
    build_inithold(engine, images, images.inithold)
    engine.run(
        *(
            "docker",
            "compose",
            "-f",
            "compose.yaml",
            "-f",
            "compose.e2e.yaml",
            "build",
            "-q",
            "init",
            "system-ready",
        ),
        cwd=EXAMPLE,
        environment={**images.variables(), "POSTGRES_PASSWORD": "unused", "RABBITMQ_PASSWORD": "unused"},
        timeout=400,
    )
    return images


def build_inithold(engine: Engine, images: Images, tag: str, *options: str) -> None:
    """Build image/Dockerfile as its head says."""
    wheels = ["--build-context", f"wheels={images.wheels}"] if images.wheels else []
    command = ["docker", "buildx", "build", "-q", "-f", "image/Dockerfile", "-t", tag]
    command += ["--build-arg", f"BASE_IMAGE={images.base}", *wheels, *options, "."]
    engine.run(*command, cwd=REPOSITORY, timeout=400)


def _wheels(engine: Engine) -> str:
    """A folder with all wheels that the builds need, kept between runs while the requirements stay the same."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    needed = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    needed += [item for items in extras.values() for item in items if not item.startswith("inithold[")]
    django = EXAMPLE.with_name("django")
    for file in (EXAMPLE / "requirements.txt", EXAMPLE / "requirements-test.txt", django / "requirements.txt"):
        lines = file.read_text().splitlines()
        needed += [line for line in lines if line and not line.startswith("#")]
    folder = CACHE / f"wheels-{hashlib.sha256(repr(needed).encode()).hexdigest()[:12]}"
    engine.run(str(TOOL), "wheelhouse", str(folder), *needed, timeout=400)
    return str(folder)
