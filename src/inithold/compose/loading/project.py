"""The stack as Compose sees it: every service merged from all files, with the layers it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from pathlib import Path

from inithold.compose.loading import extends
from inithold.compose.loading.environment import interpolate, read_dotenv
from inithold.compose.loading.merge import merge, settle
from inithold.compose.loading.shapes import is_absent
from inithold.compose.loading.source import Source, read_source
from inithold.compose.loading.tree import Builder, Mapping, Scalar, Sequence, Value
from inithold.errors import DocumentError, Fault

_TOP_LEVEL = {"name", "version", "services", "networks", "volumes", "configs", "secrets", "include", "models"}
_REMOTE = ("oci://", "https://", "http://", "git://", "ssh://", "git@", "github.com/")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What one file says of one service.

    Args:
        source: the file.
        written: the service as literally written there (merge keys resolved, `extends` not).
        tree: the same with `extends` resolved and every field in its long form.
    """

    source: Source
    written: Mapping
    tree: Mapping


@dataclass(slots=True, eq=False)
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
        """The text of the merged single value at `path`, or None."""
        found = self.scalar(*path)
        return found.text if found is not None else None


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


@dataclass(slots=True)
class _Loading:
    texts: MappingOf[Path, str]
    variables: MappingOf[str, str]
    folder: Path
    layers: dict[str, list[Layer]] = field(default_factory=dict)
    top: dict[str, Value] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    name: str = ""


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
    paths = [_absolute(folder, name) for name in files]
    given = dict(os.environ) if environment is None else dict(environment)
    loading = _Loading(texts or {}, {**read_dotenv(paths[0].parent), **given}, folder)
    for path, name in zip(paths, files, strict=True):
        _load_file(loading, path, name, ())
    services = {}
    for name, layers in loading.layers.items():
        merged: Value | None = None
        for layer in layers:
            merged = merge(merged, layer.tree)
        if isinstance(merged, Mapping):
            settled = settle(merged)
            services[name] = Service(name, layers, settled if isinstance(settled, Mapping) else merged)
    top = {key: value for key, value in loading.top.items() if isinstance(value, Mapping)}
    project = given.get("COMPOSE_PROJECT_NAME") or loading.name or paths[0].parent.name
    return Project(loading.sources, services, top, loading.notes, paths[0].parent, project, loading.variables)


def _absolute(folder: Path, name: str) -> Path:
    # Not resolved: a symbolic link is what the user named, and must be seen to be refused.
    return Path(os.path.normpath(folder / name))


def _load_file(loading: _Loading, path: Path, name: str, within: tuple[Path, ...]) -> set[str]:
    if path in within:
        raise DocumentError(Fault("includes itself", file=name))
    source = read_source(path, name, text=loading.texts.get(path))
    loading.sources.append(source)
    found: set[str] = set()
    for root in _roots(source):
        included = _load_includes(loading, source, root, (*within, path))
        found |= included
        found |= _add_services(loading, source, root, included)
        for key in ("volumes", "configs", "secrets", "networks"):
            value = root.entries.get(key)
            if value is not None and not is_absent(value):
                loading.top[key] = merge(loading.top.get(key), value)
        if isinstance(title := root.entries.get("name"), Scalar):
            loading.name = title.text
    return found


def _roots(source: Source) -> Iterator[Mapping]:
    builder = Builder(source)
    for node in source.documents:
        root = builder.build(node)
        if isinstance(root, Scalar) and root.data is None and len(source.documents) > 1:
            continue
        if not isinstance(root, Mapping):
            raise source.fault("not a Compose file: the top level must be a mapping", node)
        for key, value in root.entries.items():
            if key not in _TOP_LEVEL and not key.startswith("x-"):
                where = value.place.key if value.place.key is not None else node
                raise source.fault(f"not a Compose file: unknown top-level key {key!r}", where)
        if not root.entries:
            raise source.fault("empty: not a Compose file", node)
        yield root


def _add_services(loading: _Loading, source: Source, root: Mapping, included: set[str]) -> set[str]:
    services = root.entries.get("services")
    if is_absent(services):
        return set()
    if not isinstance(services, Mapping):
        raise source.fault("services must be a mapping", root.entries["services"].place.node)
    family = extends.Family(source, services, loading.texts, loading.variables)
    for name, written in services.entries.items():
        if not isinstance(written, Mapping):
            raise source.fault(f"services.{name} must be a mapping", written.place.node)
        if name in included:
            raise source.fault(f"services.{name} conflicts with an included service", written.place.key)
        loading.layers.setdefault(name, []).append(Layer(source, written, family.resolve(name)))
    return set(services.entries)


def _load_includes(loading: _Loading, source: Source, root: Mapping, within: tuple[Path, ...]) -> set[str]:
    include = root.entries.get("include")
    if is_absent(include):
        return set()
    if not isinstance(include, Sequence):
        raise source.fault("include must be a list", root.entries["include"].place.node)
    found: set[str] = set()
    for item in include.items:
        listed = item.get("path") if isinstance(item, Mapping) else item
        paths = listed.items if isinstance(listed, Sequence) else [listed]
        own: set[str] = set()
        for part in paths:
            if not isinstance(part, Scalar) or part.data is None:
                raise source.fault("include takes file names", item.place.node)
            path = _included_path(loading, source, part)
            if path is not None:
                own |= _load_file(loading, path, os.path.relpath(path, loading.folder), within)
        if clash := found & own:
            raise source.fault(f"services.{min(clash)} is included twice", item.place.node)
        found |= own
    return found


def _included_path(loading: _Loading, source: Source, part: Scalar) -> Path | None:
    line = part.place.node.start_mark.line + 1
    name = interpolate(part.text, loading.variables)
    if name is None:
        loading.notes.append(f"{source.name}:{line}: {part.text} is not checked: a variable in it is not set here")
        return None
    if name.startswith(_REMOTE):
        loading.notes.append(f"{source.name}:{line}: {name} is not checked: it is not a local file")
        return None
    return _absolute(source.path.parent, name)
