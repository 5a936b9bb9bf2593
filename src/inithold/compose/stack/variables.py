"""The environment of a service, as far as the files say: `environment` over its `env_file`s."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.read.environment import read_env_file
from inithold.compose.read.tree import Mapping, Scalar, Sequence, Value

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place


def variables(service: Service) -> dict[str, tuple[str, Place]]:
    """Each variable's text, and where it, or the file it comes from, is named."""
    found: dict[str, tuple[str, Place]] = {}
    files = service.value("env_file")
    for item in files.items if isinstance(files, Sequence) else ():
        path = item.get("path") if isinstance(item, Mapping) else item
        if isinstance(path, Scalar) and "$" not in path.filled:
            folder = path.place.source.folder
            read = read_env_file(folder / Path(path.filled).expanduser())
            found.update({name: (text, item.place) for name, text in read.items()})
    environment = service.value("environment")
    for name, value in environment.entries.items() if isinstance(environment, Mapping) else ():
        if isinstance(value, Scalar) and value.data is not None:
            found[name] = (value.filled, value.place)
    return found


def variable(service: Service, name: str) -> str | None:
    """The text of one variable, None where it is not set."""
    own: Value | None = service.value("environment", name)
    if isinstance(own, Scalar):
        return own.filled
    return variables(service).get(name, (None, None))[0] if service.value("env_file") is not None else None
