"""Fixtures on a real Docker engine: the engine, the images, a stack of the test's own. See stack.py."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e import engine as engines
from e2e import images as image_builds
from e2e.engine import Engine
from e2e.images import Images
from e2e.project import exports
from e2e.sharing import locked
from e2e.stack import Stack, started_once


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the logs of the containers into the report of a failed test."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and report.when == "call":
        used = [stack for value in item.funcargs.values() for stack in _stacks(value)]  # type: ignore[attr-defined]
        report.sections += [(f"containers of {stack.project}", stack.story()) for stack in used]


def _stacks(value: object) -> list[Stack]:
    made = value.made if isinstance(value, Maker) else [value]
    return [stack for stack in made if isinstance(stack, Stack)]


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The Docker engine. Without one the test fails, unless INITHOLD_NO_ENGINE=1 says that there is none."""
    if os.environ.get("INITHOLD_NO_ENGINE") == "1":
        pytest.skip("INITHOLD_NO_ENGINE=1")
    return engines.find()


@pytest.fixture(scope="session")
def images(engine: Engine) -> Iterator[Images]:
    """The images under test, built once in a run."""
    with image_builds.built(engine) as images:
        yield images


@pytest.fixture(scope="session")
def with_postgres(engine: Engine, images: Images) -> Iterator[str]:
    """inithold's image with PostgreSQL's driver alone, as the pages of examples build it."""
    tag = f"{images.registry}inithold:postgres-{uuid.uuid4().hex[:8]}"
    image_builds.build_inithold(engine, images, tag, "--build-arg", "EXTRAS=postgres")
    yield tag
    engine.docker("rmi", "-f", tag)


@pytest.fixture
def stack(engine: Engine, images: Images, tmp_path: Path) -> Iterator[Stack]:
    """The example under a name of its own, not started; removed after the test."""
    stack = Stack(engine, images, tmp_path)
    yield stack
    stack.down()


@pytest.fixture(scope="session")
def _running(engine: Engine, images: Images) -> Iterator[Stack]:
    with started_once(engine, images, "running") as stack:
        yield stack


@pytest.fixture
def running(_running: Stack) -> Iterator[Stack]:
    """The whole example, up, used by one test after the other, each of which leaves it up and healthy."""
    with locked("running-used"):
        yield _running


@pytest.fixture(scope="session")
def _environment(engine: Engine, images: Images) -> Iterator[Stack]:
    with started_once(engine, images, "environment", "init") as stack:
        yield stack


@pytest.fixture
def environment(_environment: Stack) -> Iterator[Stack]:
    """Init with the servers that it needs, up, used by one test after the other; each may run init again."""
    with locked("environment-used"):
        yield _environment


class Maker:
    """Makes further stacks, of the Compose files given."""

    def __init__(self, engine: Engine, images: Images, folder: Path) -> None:
        self._given = (engine, images, folder)
        self.made: list[Stack] = []

    def use_compose(self, version: str) -> None:
        """Let further stacks have this version of Compose, where one can be chosen."""
        engine, *rest = self._given
        if engine.stand_ins:
            self._given = (replace(engine, environment={**engine.environment, **exports(version)}), *rest)

    def __call__(self, *files: str) -> Stack:
        """A stack that is not started; removed after the test."""
        self.made.append(Stack(*self._given, *files))
        return self.made[-1]


@pytest.fixture
def make_stack(engine: Engine, images: Images, tmp_path: Path) -> Iterator[Maker]:
    """Makes further stacks, of the Compose files given; all are removed after the test."""
    maker = Maker(engine, images, tmp_path)
    yield maker
    for stack in maker.made:
        stack.down()
