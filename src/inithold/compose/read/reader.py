"""Reads the files of a stack: each with what it includes, after compose-go's `loader/include.go`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.read import extends
from inithold.compose.read.environment import interpolate, read_env_file
from inithold.compose.read.merge import merge, settle
from inithold.compose.read.shapes import is_absent
from inithold.compose.read.source import Source, read_source
from inithold.compose.read.tree import RESET, Builder, Mapping, Scalar, Sequence, Value, plain
from inithold.errors import DocumentError, Fault

if TYPE_CHECKING:
    from yaml.nodes import Node

_TOP_LEVEL = {"name", "version", "services", "networks", "volumes", "configs", "secrets", "include", "models"}
_REMOTE = ("oci://", "https://", "http://", "git://", "ssh://", "git@", "github.com/")


@dataclass(frozen=True, slots=True)
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


Services = dict[str, list[Layer]]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a file is read in.

    Args:
        base: the folder its relative names start from: the project's, or that of an include.
        variables: for file names.
        within: the files that include it.
    """

    base: Path
    variables: MappingOf[str, str]
    within: tuple[Path, ...] = ()

    @property
    def key(self) -> tuple[Path, frozenset[tuple[str, str]]]:
        """What a file read in this frame depends on."""
        return self.base, frozenset(self.variables.items())


@dataclass(slots=True)
class Reader:
    """Reads files and keeps what they say beside their services.

    Args:
        texts: contents to take rather than what is on disk, by absolute path.
        folder: where the command runs; names are shown from here.
    """

    texts: MappingOf[Path, str]
    folder: Path
    top: dict[str, Value] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    name: str = ""
    _read: dict[tuple[Path, object], Services] = field(default_factory=dict)

    def read(self, path: Path, name: str, frame: Frame) -> Services:
        """The services of a file and of those it includes; a file that is included twice is read once.

        Raises:
            DocumentError: a file cannot be read or is not a Compose file.
        """
        if path in frame.within:
            raise DocumentError(Fault("includes itself", file=name))
        key = (path, frame.key)
        if key not in self._read:
            self._read[key] = self._file(path, name, frame)
        return self._read[key]

    def _file(self, path: Path, name: str, frame: Frame) -> Services:
        source = read_source(path, name, variables=frame.variables, text=self.texts.get(path), base=frame.base)
        self.sources.append(source)
        found: Services = {}
        inner = Frame(frame.base, frame.variables, (*frame.within, path))
        for root in _roots(source):
            included = self._includes(source, root, inner)
            own = self._services(source, root, inner, included)
            for each in (included, own):
                lay(found, each)
            for key in ("volumes", "configs", "secrets", "networks"):
                value = root.entries.get(key)
                if value is not None and not is_absent(value):
                    self.top[key] = merge(self.top.get(key), value)
            if not frame.within and isinstance(title := root.entries.get("name"), Scalar):
                self.name = title.filled
        return found

    def _services(self, source: Source, root: Mapping, frame: Frame, included: Services) -> Services:
        services = root.entries.get("services")
        if services is None or is_absent(services):
            return {}
        if not isinstance(services, Mapping):
            raise source.fault("services must be a mapping", services.place.node)
        family = extends.Family(source, services, self.texts, frame.variables)
        found: Services = {}
        for name, written in services.entries.items():
            layer = _layer(source, family, name, written)
            if name not in included or not _same(included[name], [layer]):
                found[name] = [layer]
            if name in found and name in included:
                self._note_conflict(source, name, written.place.key)
        return found

    def _includes(self, source: Source, root: Mapping, frame: Frame) -> Services:
        include = root.entries.get("include")
        if include is None or is_absent(include):
            return {}
        if not isinstance(include, Sequence):
            raise source.fault("include must be a list", include.place.node)
        found: Services = {}
        for item in include.items:
            own = self._included(source, item, frame)
            for name, layers in own.items():
                if name not in found:
                    found[name] = layers
                elif not _same(found[name], layers):
                    self._note_conflict(source, name, item.place.node)
                    found[name] = [*layers, *found[name]]
        return found

    def _note_conflict(self, source: Source, name: str, node: Node | None) -> None:
        """In Compose 5 the two are one service: the including file wins, then the first include."""
        line = node.start_mark.line + 1 if node is not None else 1
        self.notes.append(
            f"{source.name}:{line}: services.{name} is in an included file, too, and differs: "
            "Compose 2 refuses that, Compose 5 merges them"
        )

    def _included(self, source: Source, item: Value, frame: Frame) -> Services:
        listed = item.get("path") if isinstance(item, Mapping) else item
        parts = listed.items if isinstance(listed, Sequence) else [listed]
        found: Services = {}
        inner: Frame | None = None
        for part in parts:
            if not isinstance(part, Scalar) or part.data is None:
                raise source.fault("include takes file names", item.place.node)
            path = self._path(source, part, frame)
            if path is None:
                continue
            # The first file says where the names in all of them start.
            inner = inner or self._frame(source, item, path, frame)
            lay(found, self.read(path, os.path.relpath(path, self.folder), inner))
        return found

    def _frame(self, source: Source, item: Value, first: Path, frame: Frame) -> Frame:
        said = item.get("project_directory") if isinstance(item, Mapping) else None
        base = self._path(source, said, frame) if isinstance(said, Scalar) and said.data is not None else None
        base = base or first.parent
        listed = item.get("env_file") if isinstance(item, Mapping) else None
        given = listed.items if isinstance(listed, Sequence) else [listed]
        named = [part for part in given if isinstance(part, Scalar) and part.data is not None]
        paths = [self._path(source, part, frame) for part in named] if named else [base / ".env"]
        read: dict[str, str] = {}
        for path in paths:
            read.update(read_env_file(path) if path is not None else {})
        return Frame(base, {**read, **frame.variables}, frame.within)

    def _path(self, source: Source, part: Scalar, frame: Frame) -> Path | None:
        line = part.place.node.start_mark.line + 1
        name = interpolate(part.text, frame.variables)
        if name is None:
            self.notes.append(
                f"{source.name}:{line}: {part.text} is not checked: a variable in it is not set here"
            )
            return None
        if name.startswith(_REMOTE):
            self.notes.append(f"{source.name}:{line}: {name} is not checked: it is not a local file")
            return None
        return absolute(frame.base, name)


def absolute(folder: Path, name: str) -> Path:
    """A path as named: not resolved, since a symbolic link must be seen to be refused."""
    return Path(os.path.normpath(folder / name))


def lay(onto: Services, services: Services) -> None:
    """Lay the services of a later file on those of earlier ones."""
    for name, layers in services.items():
        onto.setdefault(name, []).extend(layers)


def merged(layers: list[Layer]) -> tuple[list[Layer], Mapping] | None:
    """The layers that count and what they make; None for a service that a later file took away (`!reset`)."""
    last = max((number for number, layer in enumerate(layers, 1) if layer.written.tag == RESET), default=0)
    value: Value | None = None
    for layer in layers[last:]:
        value = merge(value, layer.tree)
    if value is None:
        return None
    settled = settle(value)
    assert isinstance(settled, Mapping)  # noqa: S101 - for the type checker: layers are mappings
    return layers[last:], settled


def _same(one: list[Layer], other: list[Layer]) -> bool:
    here, there = merged(one), merged(other)
    return here is not None and there is not None and plain(here[1]) == plain(there[1])


def _layer(source: Source, family: extends.Family, name: str, written: Value) -> Layer:
    if written.tag == RESET:
        gone = Mapping(written.places, RESET, {})
        return Layer(source, gone, gone)
    if not isinstance(written, Mapping):
        raise source.fault(f"services.{name} must be a mapping", written.place.node)
    return Layer(source, written, family.resolve(name))


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
