"""The stack as Compose sees it: every service merged from all files, with the layers it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inithold.compose.read.environment import read_dotenv, read_env_file
from inithold.compose.read.reader import Frame, Layer, Reader, Services, absolute, lay, merged
from inithold.compose.read.shapes import is_absent
from inithold.compose.read.source import Source
from inithold.compose.read.tree import Mapping, Place, Scalar, Sequence, Value


@dataclass(eq=False)
class Service:
    """A service of the merged stack: `view` is what Compose runs, `layers` what the files say, in order."""

    name: str
    layers: list[Layer]
    view: Mapping

    def value(self, *path: str) -> Value | None:
        """The merged value at `path`; None where it is absent or empty."""
        found = self.view.get(*path)
        return None if is_absent(found) else found

    def scalar(self, *path: str) -> Scalar | None:
        """The merged single value at `path`, or None."""
        found = self.value(*path)
        return found if isinstance(found, Scalar) else None

    def text(self, *path: str) -> str | None:
        """The merged single value at `path` with its variables filled in, or None."""
        found = self.scalar(*path)
        return found.filled if found is not None else None

    @cached_property
    def variables(self) -> dict[str, tuple[str, Place]]:
        """Its environment, over its `env_file`s: each variable's text, and where it, or its file, is named."""
        result: dict[str, tuple[str, Place]] = {}
        files = self.value("env_file")
        for item in files.items if isinstance(files, Sequence) else ():
            path = item.get("path") if isinstance(item, Mapping) else item
            if isinstance(path, Scalar) and "$" not in path.filled:
                read = read_env_file(path.place.source.folder / Path(path.filled).expanduser())
                result.update({name: (text, item.place) for name, text in read.items()})
        environment = self.value("environment")
        for name, value in environment.entries.items() if isinstance(environment, Mapping) else ():
            if isinstance(value, Scalar) and value.data is not None:
                result[name] = (value.filled, value.place)
        return result

    def variable(self, name: str) -> str | None:
        """The text of one variable of its environment, None where it is not set."""
        return self.variables[name][0] if name in self.variables else None


@dataclass(slots=True, eq=False)
class Project:
    """The merged stack.

    Args:
        sources: every file read that may be edited, in the order they are merged.
        services: by name, in the order they first appear.
        top: the merged `volumes`, `configs` and the like, by field.
        notes: what the user should know about the loading: files not read.
        folder: the project directory.
        name: the project's name, which names the images that are built.
        variables: what file and image names may refer to.
    """

    sources: list[Source]
    services: dict[str, Service]
    top: dict[str, Mapping]
    notes: list[str]
    folder: Path
    name: str
    variables: MappingOf[str, str]


def load_project(
    files: SequenceOf[str],
    *,
    folder: Path,
    environment: MappingOf[str, str] | None = None,
    texts: MappingOf[Path, str] | None = None,
) -> Project:
    """Load and merge a stack.

    Args:
        files: its files, in the order they are merged, relative to `folder`.
        folder: where the command runs.
        environment: variables for the names of included files; the process's own where not given.
        texts: contents to take rather than what is on disk, by absolute path.

    Raises:
        DocumentError: a file cannot be read or is not a Compose file.
    """
    paths = [absolute(folder, name) for name in files]
    given = dict(os.environ) if environment is None else dict(environment)
    base = paths[0].parent
    frame = Frame(base, {**read_dotenv(base), **given})
    reader = Reader(texts or {}, folder)
    found: Services = {}
    for path, name in zip(paths, files, strict=True):
        lay(found, reader.read(path, name, frame))
    made = {name: both for name, layers in found.items() if (both := merged(layers)) is not None}
    services = {name: Service(name, layers, view) for name, (layers, view) in made.items()}
    top = {key: value for key, value in reader.top.items() if isinstance(value, Mapping)}
    project = given.get("COMPOSE_PROJECT_NAME") or reader.name or base.name
    return Project(reader.sources, services, top, reader.notes, base, project, frame.variables)
