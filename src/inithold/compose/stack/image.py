"""Finds an image's entrypoint and command: from a Docker engine that has the image, else from its Dockerfile."""

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

from inithold.compose.read.interpolation import interpolate
from inithold.compose.read.tree import Mapping, Scalar, Value
from inithold.compose.stack.command import has_no_words, is_inithold_image, words
from inithold.compose.stack.dockerfile import read_dockerfile
from inithold.errors import DocumentError
from inithold.text.yaml12 import read_text

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

ENGINE_LIMIT = 3.0
"""Seconds the engine gets for all answers together."""
_LARGEST = 256 * 1024
_TOOL_IMAGES = re.compile(
    r"(?:docker\.io/)?(?:library/)?(?:(?:flyway|redgate)/(?P<a>flyway)|(?:liquibase/)?(?P<b>liquibase)|migrate/(?P<c>migrate)"
    r"|(?:ghcr\.io/)?amacneil/(?P<d>dbmate)|arigaio/(?P<e>atlas)|(?:quay\.io/)?minio/(?P<f>mc))(?:[:@].*)?\Z"
)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image runs. An unknown part is None: the Dockerfile inherits it from an unknown base image.

    Args:
        entrypoint: its ENTRYPOINT, or empty.
        command: its CMD, or empty.
        folder: its WORKDIR; empty if unknown.
        source: where this comes from, for messages: `the engine` or the Dockerfile's name.
        files: files that the Dockerfile writes with here-documents: path, content.
        copies: what it copies, in order: source in the build context (None if from elsewhere), path in the image.
        healthcheck: the Dockerfile has a HEALTHCHECK.
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
    """The argument list of a container, escaped as in Compose files (`$$` is a dollar sign).

    Args:
        words: program and arguments; None if the image contributes an unknown part.
        entrypoint_from_image: the image's entrypoint comes first, or may (image unknown).
    """

    words: tuple[str, ...] | None
    entrypoint_from_image: bool


class ImageReader:
    """Reads what the images of a stack run, each once.

    Args:
        project: the stack.
        engine: ask an engine first. `check` does not, so that its result is the same on every machine.
    """

    def __init__(self, project: Project, *, engine: bool) -> None:
        self._project = project
        self._remaining = ENGINE_LIMIT if engine else 0.0
        self._known: dict[tuple[str, str | None], ImageConfig | None] = {}
        self._lacking: dict[str, bool] = {}

    def __call__(self, service: Service) -> ImageConfig | None:
        """Return what the image of `service` runs; None if unknown."""
        key = service.name, service.text("image")
        if key not in self._known:
            self._known[key] = self.inspect(self.name(service)) or self.dockerfile(service)
        return self._known[key]

    def inspect(self, name: str | None) -> ImageConfig | None:
        """Ask the engine for an image's configuration; None if it does not have the image."""
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
        """Whether the engine has this image and there is no `inithold` on its PATH; False if unknown.

        Looks with `docker cp` into a container that is created but never started.
        """
        if name is None or name in self._lacking or self._remaining <= 0:
            return self._lacking.get(name or "", False)
        ends = time.monotonic() + self._remaining
        config = _inspected(name, self._remaining)
        self._lacking[name] = isinstance(config, dict) and _lacks_inithold(name, config.get("Env") or (), ends)
        self._remaining = max(ends - time.monotonic(), 0.0)
        return self._lacking[name]

    def name(self, service: Service) -> str | None:
        """Return the image's name, as given or as Compose names a build; None if a variable in it is not set."""
        image = service.text("image")
        if image is not None:
            return None if "$" in image else image
        project = re.sub(r"[^a-z0-9_-]", "", self._project.name.lower()).lstrip("_-")
        return f"{project}-{service.name}"

    def dockerfile(self, service: Service) -> ImageConfig | None:
        """Return what the image runs by its Dockerfile, or by its name if it is a known official image."""
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
        """Return the service's `build`, or that of another service that builds the same image."""
        if service.value("build") is not None or service.value("image") is None:
            return service.value("build")
        return self._builds.get(self.name(service) or "")

    @cached_property
    def _builds(self) -> dict[str, Value]:
        """The `build` of each image by its name; the first service's if several build it."""
        builds: dict[str, Value] = {}
        for service in self._project.services.values():
            if (build := service.value("build")) is not None and (name := self.name(service)):
                builds.setdefault(name, build)
        return builds

    def build_context(self, service: Service) -> Path | None:
        """Return the folder that the image is built from; None if it is not on this machine."""
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
    """Combine the entrypoint and command of a service and its image as the engine does.

    Args:
        service: the service.
        image: what its image runs; None if unknown.
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


def tool_words(service: Service) -> tuple[str, ...] | None:
    """The program of a well-known tool's image and the service's command; None for another image or no command."""
    tool, given = _TOOL_IMAGES.match(service.text("image") or ""), words(service.value("command"))[0]
    if tool is None or not given or service.value("entrypoint") is not None:
        return None
    return (next(each for each in tool.groups() if each), *given)


@overload
def escaped(parts: tuple[str, ...]) -> tuple[str, ...]: ...
@overload
def escaped(parts: tuple[str, ...] | None) -> tuple[str, ...] | None: ...
def escaped(parts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Escape an image's words as in Compose files: `$$` is a dollar sign."""
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
    # Exit code 1: no such file. Any other: it is there, or no answer in time.
    lacks = all(code == 1 for code in copies)
    _docker(["rm", "--force", "--volumes", container], ENGINE_LIMIT)
    return lacks


def _reference(name: str) -> str:
    """Add the default tag to an image's name: the engine would also take a bare `db` for an image ID prefix."""
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def _inspected(name: str, limit: float) -> Any:
    """Return `Config` of `docker image inspect`; None if there is no such image, or no answer in time."""
    code, output = _docker(["image", "inspect", "--format", "{{json .Config}}", _reference(name)], limit)
    try:
        return json.loads(output) if code == 0 else None
    except ValueError:
        return None


def _docker(arguments: list[str], limit: float) -> tuple[int | None, bytes]:
    """Run `docker`; return its exit code (None if there is no docker, or no answer in time) and output."""
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
            # The whole group: helpers, such as the ssh of `DOCKER_HOST=ssh://`, keep the pipe open.
            os.killpg(process.pid, signal.SIGKILL)
            return None, b""
    return process.returncode, output
