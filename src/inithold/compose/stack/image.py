"""What an image runs by itself, asked of the engine, if one answers."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inithold.compose.read.environment import interpolate

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

_PATIENCE = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Entrypoint and command of an image."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]


class ImageReader:
    """Reads images with `docker image inspect`, each once.

    Args:
        project: the stack, for its variables and its name.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, ImageConfig | None] = {}

    def __call__(self, service: Service) -> ImageConfig | None:
        """What the image of `service` runs; None where no engine answers or the engine does not have it."""
        name = self._name(service)
        if name is None:
            return None
        if name not in self._known:
            self._known[name] = _inspect(name)
        return self._known[name]

    def _name(self, service: Service) -> str | None:
        image = service.text("image")
        if image is not None:
            return interpolate(image, self._project.variables)
        project = re.sub(r"[^a-z0-9_-]", "", self._project.name.lower()).lstrip("_-")
        return f"{project}-{service.name}"


def _inspect(name: str) -> ImageConfig | None:
    command = ["docker", "image", "inspect", "--format", "{{json .Config}}", name]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        config = json.loads(answer.stdout) if answer.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    return ImageConfig(tuple(config.get("Entrypoint") or ()), tuple(config.get("Cmd") or ()))
