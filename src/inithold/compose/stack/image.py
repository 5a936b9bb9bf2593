"""What an image runs by itself: asked of an engine where one has the image, else read from its Dockerfile."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from inithold.compose.read.environment import interpolate
from inithold.compose.read.tree import Mapping, Scalar, Value
from inithold.compose.stack.command import has_no_words, is_inithold_image, words
from inithold.compose.stack.dockerfile import read_dockerfile
from inithold.errors import DocumentError
from inithold.text.yaml12 import read_text

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

ENGINE_LIMIT = 3.0
"""Seconds that an engine gets for all answers together."""
_LARGEST = 256 * 1024


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image runs. A part is None where it could not be told: the Dockerfile leaves it to its base image.

    Args:
        entrypoint: its ENTRYPOINT; empty where it has none.
        command: its CMD; empty where it has none.
        folder: its WORKDIR; empty where that is not known.
        source: where that was read, for people: `the engine`, or the Dockerfile's name.
        files: small files that the Dockerfile itself writes into the image: path, content.
        copies: what it copies into the image, in order: source in the build context, None for none, and path.
        healthcheck: its Dockerfile has a HEALTHCHECK.
    """

    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None
    folder: str = ""
    source: str = "the engine"
    files: tuple[tuple[str, str], ...] = ()
    healthcheck: bool = False
    copies: tuple[tuple[str | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Argv:
    """Entrypoint and command of a container, in Compose's spelling (`$$` is a dollar sign).

    Args:
        words: program and arguments; None where a part of them is the image's and could not be told.
        entrypoint_from_image: the image's own entrypoint comes first, or may come first where it is not known.
    """

    words: tuple[str, ...] | None
    entrypoint_from_image: bool


class ImageReader:
    """Reads what the images of a stack run, each once.

    Args:
        project: the stack.
        engine: ask an engine first. `check` does not: it says the same on every machine.
    """

    def __init__(self, project: Project, *, engine: bool) -> None:
        self._project = project
        self._remaining = ENGINE_LIMIT if engine else 0.0
        self._known: dict[tuple[str, str | None], ImageConfig | None] = {}
        self._lacking: dict[str, bool] = {}

    def __call__(self, service: Service) -> ImageConfig | None:
        """What the image of `service` runs; None where nothing could be told."""
        key = service.name, service.text("image")
        if key not in self._known:
            self._known[key] = self.inspect(self.name(service)) or self.dockerfile(service)
        return self._known[key]

    def inspect(self, name: str | None) -> ImageConfig | None:
        """What an engine that has an image of this name says of it; None where none does."""
        if self._remaining <= 0 or name is None:
            return None
        started = time.monotonic()
        config = _inspected(name, self._remaining)
        self._remaining -= time.monotonic() - started
        if not isinstance(config, dict):
            return None
        entrypoint, command = tuple(config.get("Entrypoint") or ()), tuple(config.get("Cmd") or ())
        return ImageConfig(entrypoint, command, config.get("WorkingDir") or "")

    def lacks_inithold(self, name: str | None) -> bool:
        """Does an engine have an image of this name without `inithold` on its PATH? False where that is not known.

        A container is made of it and never started; what is in it is told by `docker cp`.
        """
        if name is None or name in self._lacking or self._remaining <= 0:
            return self._lacking.get(name or "", False)
        ends = time.monotonic() + self._remaining
        config = _inspected(name, self._remaining)
        self._lacking[name] = isinstance(config, dict) and _lacks_inithold(name, config.get("Env") or (), ends)
        self._remaining = max(ends - time.monotonic(), 0.0)
        return self._lacking[name]

    def name(self, service: Service) -> str | None:
        """The image's name, be it the one that Compose gives it; None where a variable in it is not set."""
        image = service.text("image")
        if image is not None:
            return None if "$" in image else image
        project = re.sub(r"[^a-z0-9_-]", "", self._project.name.lower()).lstrip("_-")
        return f"{project}-{service.name}"

    def dockerfile(self, service: Service) -> ImageConfig | None:
        """What its Dockerfile says, or its name where that is an official image's; no engine is asked."""
        build, name = self._build(service), self.name(service)
        if not isinstance(build, Mapping):
            base = read_dockerfile(f"FROM {name}") if name else None
            official = base is not None and base.entrypoint is not None
            return ImageConfig(base.entrypoint, base.command, source="its name") if base and official else None
        inline, named = build.get("dockerfile_inline"), build.get("dockerfile")
        if isinstance(inline, Scalar) and inline.data is not None:
            text, source = self._text(inline), f"dockerfile_inline of {service.name}"
        else:
            context, file = self.build_context(service), self._text(named) if named is not None else "Dockerfile"
            if context is None or file is None:
                return None
            source = os.path.relpath(context / file, self._project.folder)
            try:
                text = read_text(context / file, limit=_LARGEST)
            except DocumentError:
                return None
        arguments = build.get("args")
        given = arguments.entries if isinstance(arguments, Mapping) else {}
        filled = {name: self._text(value) or "" for name, value in given.items()}
        result = read_dockerfile(text or "", target=self._text(build.get("target")) or None, arguments=filled)
        if result is None:
            return None
        files = tuple(result.files.items())
        runs = result.entrypoint, result.command, result.folder
        return ImageConfig(*runs, source, files, result.healthcheck, result.copies)

    def _build(self, service: Service) -> Value | None:
        """Its `build`, be it written at another service that names the image of both."""
        if service.value("build") is not None or service.value("image") is None:
            return service.value("build")
        return self._builds.get(self.name(service) or "")

    @cached_property
    def _builds(self) -> dict[str, Value]:
        """The `build` of each image that one of the services builds, by its name; the first one's."""
        builds: dict[str, Value] = {}
        for service in self._project.services.values():
            if (build := service.value("build")) is not None and (name := self.name(service)):
                builds.setdefault(name, build)
        return builds

    def build_context(self, service: Service) -> Path | None:
        """The folder that its image is built from; None where that is not a folder on this machine."""
        build = self._build(service)
        if not isinstance(build, Mapping):
            return None
        context = build.get("context")
        text = self._text(context) if context is not None else "."
        if text is None or "://" in text or text.startswith("git@"):
            return None
        return ((context or build).place.source.folder / Path(text).expanduser()).resolve()

    def _text(self, value: Value | None) -> str | None:
        if not isinstance(value, Scalar):
            return None
        if value.data is None:
            key = value.place.key
            return self._project.variables.get(key.value) if key is not None else None
        return interpolate(value.text, self._project.variables)


def argv(service: Service, image: ImageConfig | None) -> Argv:
    """What the container of `service` runs, its image's part included, as the engine puts it together.

    Args:
        service: the service.
        image: what its image runs, None where that could not be told.
    """
    entrypoint = service.value("entrypoint")
    own, given = words(entrypoint)[0], words(service.value("command"))[0]
    if not has_no_words(entrypoint):
        return Argv((*own, *given), False)
    first: tuple[str, ...] | None = ()
    if entrypoint is None:
        unknown = ("inithold",) if is_inithold_image(service.text("image") or "") else None
        first = escaped(image.entrypoint) if image is not None else unknown
    rest = tuple(given) if given else escaped(image.command) if image is not None else None
    return Argv(None if first is None or rest is None else (*first, *rest), entrypoint is None and first != ())


@overload
def escaped(parts: tuple[str, ...]) -> tuple[str, ...]: ...
@overload
def escaped(parts: tuple[str, ...] | None) -> tuple[str, ...] | None: ...
def escaped(parts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """An image's words in Compose's spelling, in which `$$` is a dollar sign."""
    return None if parts is None else tuple(part.replace("$", "$$") for part in parts)


def _lacks_inithold(name: str, environment: Iterable[str], ends: float) -> bool:
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    path = next((entry[5:] for entry in environment if entry.startswith("PATH=")), usual)
    create = ["create", "--network", "none", _reference(name), "inithold"]
    code, output = _docker(create, ends - time.monotonic())
    if code != 0:
        return False
    container = output.decode().strip()
    copies = (
        _docker(["cp", f"{container}:{folder}/inithold", "-"], ends - time.monotonic())[0]
        for folder in path.split(":")
        if folder
    )
    # 1: there is no such file. Anything else is one, or no answer.
    lacks = all(code == 1 for code in copies)
    _docker(["rm", "--force", "--volumes", container], ENGINE_LIMIT)
    return lacks


def _reference(name: str) -> str:
    """An image's name with its tag: without one the engine takes `db` for the beginning of an image's ID, too."""
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def _inspected(name: str, limit: float) -> Any:
    """`Config` of `docker image inspect`; None where no engine has the image, or none answers in time."""
    code, output = _docker(["image", "inspect", "--format", "{{json .Config}}", _reference(name)], limit)
    try:
        return json.loads(output) if code == 0 else None
    except ValueError:
        return None


def _docker(arguments: list[str], limit: float) -> tuple[int | None, bytes]:
    """Exit code and output of a `docker` command; no code where there is no docker, or no answer in time."""
    try:
        process = subprocess.Popen(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None, b""
    with process:
        try:
            output = process.communicate(timeout=max(limit, 0.0))[0]
        except subprocess.TimeoutExpired:
            # With its helpers, such as the ssh of `DOCKER_HOST=ssh://`, which hold the pipe.
            os.killpg(process.pid, signal.SIGKILL)
            return None, b""
    return process.returncode, output
