"""What a container runs: the service's words and its image's, from an engine or from the Dockerfile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from inithold.compose.read.project import Project, load_project
from inithold.compose.stack.image import Argv, ImageReader, argv

DOCKERFILE = 'FROM python:3.13\nWORKDIR /app\nENTRYPOINT ["/setup.sh", "$x"]\nCMD ["all"]\n'


def project(folder: Path, service: str, more: str = "") -> Project:
    (folder / "compose.yaml").write_text(f"name: shop\nservices:\n  init: {{{service}}}\n{more}")
    return load_project(["compose.yaml"], folder=folder, environment={"WHERE": "setup"})


def argv_of(stack: Project, *, engine: bool = False) -> Argv:
    service = stack.services["init"]
    return argv(service, ImageReader(stack, engine=engine)(service))


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("build: .", Argv(("/setup.sh", "$$x", "all"), True)),
        ("build: ., command: [one]", Argv(("/setup.sh", "$$x", "one"), True)),
        ("build: ., command: []", Argv(("/setup.sh", "$$x", "all"), True)),
        ("build: ., entrypoint: []", Argv(("all",), False)),
        ('build: ., entrypoint: "", command: one', Argv(("one",), False)),
        ("build: ., entrypoint: [a]", Argv(("a",), False)),
        ("image: x, entrypoint: [a], command: [b]", Argv(("a", "b"), False)),
        ("image: x, command: [b]", Argv(None, True)),
        ("image: x", Argv(None, True)),
        ("image: x, entrypoint: []", Argv(None, False)),
        ("image: 'inithold:1', command: [run]", Argv(("inithold", "run"), True)),
    ],
)
def test_words_are_put_together_as_the_engine_does(service: str, expected: Argv, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    assert argv_of(project(tmp_path, service)) == expected


@pytest.mark.parametrize(
    "service",
    [
        "build: setup",
        "build: {context: ., dockerfile: setup/Dockerfile}",
        "build: {context: '${WHERE}'}",
        "build: {context: '${NOWHERE:-setup}', target: one}",
        "image: shared",
        r'build: {context: ., dockerfile_inline: "FROM x\nENTRYPOINT [\"/it\"]"}',
    ],
)
def test_where_the_dockerfile_is(service: str, tmp_path: Path) -> None:
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup" / "Dockerfile").write_text('FROM x AS one\nENTRYPOINT ["/it"]')
    more = "  web: {image: shared, build: setup}\n"
    assert argv_of(project(tmp_path, service, more)).words == ("/it",)


@pytest.mark.parametrize(
    "service",
    [
        "build: nowhere",
        "build: https://example.org/shop.git",
        "build: {context: '${UNSET}'}",
        "build: {context: ., target: nothing}",
        "build: {context: ., dockerfile: folder}",
    ],
)
def test_what_cannot_be_told(service: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    assert argv_of(project(tmp_path, service)) == Argv(None, True)


def program(folder: Path, script: str) -> None:
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a `docker` of the test's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_an_engine_that_has_the_image_is_believed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    config = '{"Entrypoint": ["/built"], "Cmd": null, "WorkingDir": "/srv"}'
    program(path, f"[ \"$5\" = shop-init:latest ] && echo '{config}'")
    stack = project(tmp_path, "build: .")
    image = ImageReader(stack, engine=True)(stack.services["init"])
    assert image is not None
    assert (image.entrypoint, image.command, image.folder, image.source) == (("/built",), (), "/srv", "the engine")
    assert argv_of(stack).words == ("/setup.sh", "$$x", "all"), "check asks no engine"


def test_an_engine_without_it_leaves_it_to_the_dockerfile(path: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    program(path, "echo no such image >&2; exit 1")
    assert argv_of(project(tmp_path, "build: ."), engine=True).words == ("/setup.sh", "$$x", "all")


def test_an_engine_that_is_silent_gets_its_time_once(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inithold.compose.stack.image.ENGINE_LIMIT", 0.3)
    # What it starts holds its output open, as the ssh of a remote engine does.
    program(path, "sleep 60 & sleep 60")
    stack = project(tmp_path, "image: a", "  web: {image: b}\n")
    reader = ImageReader(stack, engine=True)
    started = time.monotonic()
    assert [reader(service) for service in stack.services.values()] == [None, None]
    assert time.monotonic() - started < 20
