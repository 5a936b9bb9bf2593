"""Loads a stack as Compose does: every service merged from all files, with the layers it came from.

`include` and `extends` follow compose-go's `loader/include.go` and `extends.go`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from inithold.compose.read.env_file import read_env_file
from inithold.compose.read.interpolation import interpolate
from inithold.compose.read.merge import merge, settle, shape_service
from inithold.compose.read.tree import (
    RESET,
    Builder,
    Mapping,
    Place,
    Scalar,
    Sequence,
    Source,
    Value,
    is_absent,
    plain,
    read_source,
)
from inithold.errors import DocumentError, Fault

if TYPE_CHECKING:
    from yaml.nodes import Node

_TOP_LEVEL = {"name", "version", "services", "networks", "volumes", "configs", "secrets", "include", "models"}
_REMOTE = ("oci://", "https://", "http://", "git://", "ssh://", "git@", "github.com/")


@dataclass(frozen=True, slots=True)
class Layer:
    """One service in one file.

    Args:
        source: the file.
        written: as written there, with merge keys resolved but not `extends`.
        tree: with `extends` resolved and every field in its long form.
    """

    source: Source
    written: Mapping
    tree: Mapping


@dataclass(eq=False)
class Service:
    """A service of the merged stack: `view` is what Compose runs, `layers` its parts from each file, in order."""

    name: str
    layers: list[Layer]
    view: Mapping

    def value(self, *path: str) -> Value | None:
        """Return the merged value at `path`; None if absent or empty."""
        value = self.view.get(*path)
        return None if is_absent(value) else value

    def scalar(self, *path: str) -> Scalar | None:
        """Return the merged single value at `path`, or None."""
        value = self.value(*path)
        return value if isinstance(value, Scalar) else None

    def text(self, *path: str) -> str | None:
        """Return the merged single value at `path`, interpolated, or None."""
        value = self.scalar(*path)
        return value.filled if value is not None else None

    @property
    def env_files(self) -> Iterator[tuple[Path, Scalar]]:
        """Its `env_file`s whose names are known, and where they are named."""
        files = self.value("env_file")
        for item in files.items if isinstance(files, Sequence) else ():
            path = item.get("path") if isinstance(item, Mapping) else item
            if isinstance(path, Scalar) and "$" not in path.filled:
                yield path.place.source.folder / Path(path.filled).expanduser(), path

    @cached_property
    def variables(self) -> dict[str, tuple[str, Place]]:
        """Its environment over its `env_file`s: each variable's text, and where it or its file is written."""
        result: dict[str, tuple[str, Place]] = {}
        for path, written in self.env_files:
            result.update({name: (text, written.place) for name, text in read_env_file(path).items()})
        environment = self.value("environment")
        for name, value in environment.entries.items() if isinstance(environment, Mapping) else ():
            if isinstance(value, Scalar) and value.data is not None:
                result[name] = (value.filled, value.place)
        return result

    def variable(self, name: str) -> str | None:
        """Return one variable of its environment; None if not set."""
        return self.variables[name][0] if name in self.variables else None


@dataclass(slots=True, eq=False)
class Project:
    """The merged stack.

    Args:
        sources: every file that may be edited, in merge order.
        services: by name, in the order they first appear.
        top: the merged `volumes`, `configs` and the like, by field.
        notes: for the user: files that were not read.
        folder: the project directory.
        name: the project's name, a prefix of the images it builds.
        variables: for interpolation.
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
        files: its files, in merge order, relative to `folder`.
        folder: where the command runs.
        environment: variables for interpolation; by default the process's own.
        texts: contents to use instead of those on disk, by absolute path.

    Raises:
        DocumentError: a file cannot be read or is not a Compose file.
    """
    paths = [_absolute(folder, name) for name in files]
    given = dict(os.environ) if environment is None else dict(environment)
    base = paths[0].parent
    frame = _Frame(base, {**read_env_file(base / ".env"), **given})
    reader = _Reader(texts or {}, folder)
    layers: _Services = {}
    for path, name in zip(paths, files, strict=True):
        _lay(layers, reader.read(path, name, frame))
    if not any(source.documents for source in reader.sources):
        raise DocumentError(Fault("empty: not a Compose file", file=reader.sources[0].name))
    made = {name: both for name, listed in layers.items() if (both := _merged(listed)) is not None}
    services = {name: Service(name, listed, view) for name, (listed, view) in made.items()}
    top = {key: value for key, value in reader.top.items() if isinstance(value, Mapping)}
    project = given.get("COMPOSE_PROJECT_NAME") or reader.name or base.name
    return Project(reader.sources, services, top, reader.notes, base, project, frame.variables)


_Services = dict[str, list[Layer]]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The context in which a file is read.

    Args:
        base: the folder that its relative names start from: the project's, or that of an include.
        variables: for interpolation.
        within: the files that include it.
    """

    base: Path
    variables: MappingOf[str, str]
    within: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Reader:
    """Reads files, and collects everything in them but the services.

    Args:
        texts: contents to use instead of those on disk, by absolute path.
        folder: where the command runs; names in messages are relative to it.
    """

    texts: MappingOf[Path, str]
    folder: Path
    top: dict[str, Value] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    name: str = ""
    _read: dict[object, _Services] = field(default_factory=dict)

    def read(self, path: Path, name: str, frame: _Frame) -> _Services:
        """Return the services of a file and of its includes; a file that is included twice is read once."""
        if path in frame.within:
            raise DocumentError(Fault("includes itself", file=name))
        key = (path, frame.base, frozenset(frame.variables.items()))
        if key in self._read:
            return self._read[key]
        source = read_source(path, name, variables=frame.variables, text=self.texts.get(path), base=frame.base)
        self.sources.append(source)
        result: _Services = {}
        inner = _Frame(frame.base, frame.variables, (*frame.within, path))
        for root in _roots(source):
            included = self._included(source, root, inner)
            _lay(result, included)
            _lay(result, self._services(source, root, inner, included))
            for top in ("volumes", "configs", "secrets", "networks"):
                value = root.entries.get(top)
                if value is not None and not is_absent(value):
                    self.top[top] = merge(self.top.get(top), value)
            if not frame.within and isinstance(title := root.entries.get("name"), Scalar):
                self.name = title.filled
        self._read[key] = result
        return result

    def _services(self, source: Source, root: Mapping, frame: _Frame, included: _Services) -> _Services:
        services = root.entries.get("services")
        if services is None or is_absent(services):
            return {}
        if not isinstance(services, Mapping):
            raise source.fault("services must be a mapping", services.place.node)
        family = _Family(source, services, self.texts, frame.variables)
        result: _Services = {}
        for name, written in services.entries.items():
            if written.tag == RESET:
                gone = Mapping(written.places, RESET, {})
                layer = Layer(source, gone, gone)
            else:
                layer = Layer(source, *family.resolve(name))
            if name in included and _same(included[name], [layer]):
                continue
            result[name] = [layer]
            if name in included:
                self._note_conflict(source, name, written.place.key)
        return result

    def _included(self, source: Source, root: Mapping, frame: _Frame) -> _Services:
        include = root.entries.get("include")
        if include is None or is_absent(include):
            return {}
        if not isinstance(include, Sequence):
            raise source.fault("include must be a list", include.place.node)
        result: _Services = {}
        for item in include.items:
            own: _Services = {}
            inner: _Frame | None = None
            listed = item.get("path") if isinstance(item, Mapping) else item
            for part in _listed(listed):
                if not isinstance(part, Scalar) or part.data is None:
                    raise source.fault("include takes file names", item.place.node)
                path = self._path(source, part, frame)
                if path is not None:
                    # The first file of an include sets the folder for all of them.
                    inner = inner or self._frame(source, item, path, frame)
                    _lay(own, self.read(path, os.path.relpath(path, self.folder), inner))
            for name, layers in own.items():
                if name not in result:
                    result[name] = layers
                elif not _same(result[name], layers):
                    self._note_conflict(source, name, item.place.node)
                    result[name] = [*layers, *result[name]]
        return result

    def _note_conflict(self, source: Source, name: str, node: Node | None) -> None:
        """Note that a service differs in two files.

        Compose 5 merges the two: the including file has precedence, then the first include.
        """
        line = node.start_mark.line + 1 if node is not None else 1
        self.notes.append(
            f"{source.name}:{line}: services.{name} is in an included file, too, and differs: "
            "Compose 2 refuses that, Compose 5 merges them"
        )

    def _frame(self, source: Source, item: Value, first: Path, frame: _Frame) -> _Frame:
        directory, listed = (
            item.get(key) if isinstance(item, Mapping) else None for key in ("project_directory", "env_file")
        )
        base = self._path(source, directory, frame) if isinstance(directory, Scalar) and directory.data else None
        base = base or first.parent
        named = [each for each in _listed(listed) if isinstance(each, Scalar) and not is_absent(each)]
        variables: dict[str, str] = {}
        for path in [self._path(source, each, frame) for each in named] or [base / ".env"]:
            variables |= read_env_file(path) if path is not None else {}
        return _Frame(base, {**variables, **frame.variables}, frame.within)

    def _path(self, source: Source, part: Scalar, frame: _Frame) -> Path | None:
        name = interpolate(part.text, frame.variables)
        why = "a variable in it is not set here" if name is None else "it is not a local file"
        if name is None or name.startswith(_REMOTE):
            line = part.place.node.start_mark.line + 1
            self.notes.append(f"{source.name}:{line}: {name or part.text} is not checked: {why}")
            return None
        return _absolute(frame.base, name)


@dataclass(slots=True)
class _Family:
    """Resolves `extends` for the `services` of one document; `texts` and `variables` are the reader's."""

    source: Source
    services: Mapping
    texts: MappingOf[Path, str]
    variables: MappingOf[str, str]
    _done: dict[str, Mapping] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _others: dict[Path, _Family] = field(default_factory=dict)

    def resolve(self, name: str) -> tuple[Mapping, Mapping]:
        """Return the service as written, and in long form with its bases merged in."""
        written = self.services.entries[name]
        if not isinstance(written, Mapping):
            raise self.source.fault(f"services.{name} must be a mapping", written.place.node)
        if name in self._done:
            return written, self._done[name]
        if name in self._open:
            raise self.source.fault(f"services.{name} extends itself", written.place.key)
        self._open.add(name)
        shaped = shape_service(written, name, self.source)
        base = shaped.entries.pop("extends", None)
        if base is not None and not is_absent(base):
            target, file = (base.get("service"), base.get("file")) if isinstance(base, Mapping) else (base, None)
            if not isinstance(target, Scalar):
                raise self.source.fault(f"services.{name}.extends must name a service", base.place.node)
            family = self._other(name, file) if isinstance(file, Scalar) else self
            if target.filled not in family.services.entries:
                raise self.source.fault(
                    f"services.{name} extends {target.filled!r}, which is not in {family.source.name}",
                    target.place.node,
                )
            shaped = cast(Mapping, merge(family.resolve(target.filled)[1], shaped))
        self._open.discard(name)
        self._done[name] = shaped
        return written, shaped

    def _other(self, name: str, file: Scalar) -> _Family:
        filled = interpolate(file.text, self.variables)
        if filled is None:
            message = f"services.{name}.extends.file has a variable that is not set here"
            raise self.source.fault(message, file.place.node)
        path = _absolute(self.source.folder, filled)
        if path == self.source.path:
            return self
        if path not in self._others:
            beside = os.path.relpath(path, self.source.path.parent)
            shown = os.path.normpath(Path(self.source.name).parent / beside)
            text = self.texts.get(path)
            source = read_source(path, shown, variables=self.variables, text=text, foreign=True)
            first = next(iter(source.documents), None)
            root = Builder(source).build(first) if first is not None else None
            services = root.get("services") if isinstance(root, Mapping) else None
            if not isinstance(services, Mapping):
                raise source.fault("not a Compose file: it has no services", first)
            self._others[path] = _Family(source, services, self.texts, self.variables)
        return self._others[path]


def _listed(value: Value | None) -> SequenceOf[Value | None]:
    return value.items if isinstance(value, Sequence) else [value]


def _absolute(folder: Path, name: str) -> Path:
    """Return an absolute path without resolving symbolic links, which fix must see to refuse them."""
    return Path(os.path.normpath(folder / name))


def _lay(onto: _Services, services: _Services) -> None:
    """Add the layers of a later file's services."""
    for name, layers in services.items():
        onto.setdefault(name, []).extend(layers)


def _merged(layers: list[Layer]) -> tuple[list[Layer], Mapping] | None:
    """Return the effective layers and the merged service; None if a later file removed it (`!reset`)."""
    last = max((number for number, layer in enumerate(layers, 1) if layer.written.tag == RESET), default=0)
    if last == len(layers):
        return None
    value: Value | None = None
    for layer in layers[last:]:
        value = merge(value, layer.tree)
    return layers[last:], cast(Mapping, settle(cast(Mapping, value)))


def _same(one: list[Layer], other: list[Layer]) -> bool:
    here, there = _merged(one), _merged(other)
    return here is not None and there is not None and plain(here[1]) == plain(there[1])


def _roots(source: Source) -> Iterator[Mapping]:
    builder = Builder(source)
    for node in source.documents:
        root = builder.build(node)
        if is_absent(root) and len(source.documents) > 1:
            continue
        if not isinstance(root, Mapping):
            raise source.fault("not a Compose file: the top level must be a mapping", node)
        for key, value in root.entries.items():
            if key not in _TOP_LEVEL and not key.startswith("x-"):
                raise source.fault(f"not a Compose file: unknown top-level key {key!r}", value.place.key or node)
        if not root.entries:
            raise source.fault("empty: not a Compose file", node)
        yield root
