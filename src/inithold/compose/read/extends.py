"""Resolves `extends`: a service that starts from another one, of the same file or of another."""

from __future__ import annotations

import os
from collections.abc import Mapping as MappingOf
from pathlib import Path

from inithold.compose.read.environment import interpolate
from inithold.compose.read.merge import merge
from inithold.compose.read.shapes import is_absent, shape_service
from inithold.compose.read.source import Source, read_source
from inithold.compose.read.tree import Builder, Mapping, Scalar, Value


class Family:
    """The services of one document, and those they extend.

    Args:
        source: the file.
        services: its `services`.
        texts: contents to take rather than what is on disk.
        variables: for file names.
    """

    def __init__(
        self,
        source: Source,
        services: Mapping,
        texts: MappingOf[Path, str],
        variables: MappingOf[str, str],
    ) -> None:
        self.source = source
        self.services = services
        self._texts = texts
        self._variables = variables
        self._done: dict[str, Mapping] = {}
        self._open: list[str] = []
        self._families: dict[Path, Family] = {}

    def resolve(self, name: str) -> Mapping:
        """The service with its bases merged under it, in long form, without `extends`.

        Raises:
            DocumentError: a base that is not there, or a service that extends itself.
        """
        if name in self._done:
            return self._done[name]
        written = self.services.entries.get(name)
        if not isinstance(written, Mapping):
            raise self.source.fault(f"services.{name} must be a mapping")
        if name in self._open:
            raise self.source.fault(f"services.{name} extends itself", written.place.key)
        self._open.append(name)
        shaped = shape_service(written, name, self.source)
        base = shaped.entries.pop("extends", None)
        if base is not None and not is_absent(base):
            merged = merge(self._base(name, base), shaped)
            shaped = merged if isinstance(merged, Mapping) else shaped
        self._open.pop()
        self._done[name] = shaped
        return shaped

    def _base(self, name: str, base: Value) -> Mapping:
        wanted = base.get("service") if isinstance(base, Mapping) else base
        if not isinstance(wanted, Scalar):
            raise self.source.fault(f"services.{name}.extends must name a service", base.place.node)
        family = self._family(name, base)
        if wanted.filled not in family.services.entries:
            raise self.source.fault(
                f"services.{name} extends {wanted.filled!r}, which is not in {family.source.name}",
                wanted.place.node,
            )
        return family.resolve(wanted.filled)

    def _family(self, name: str, base: Value) -> Family:
        file = base.get("file") if isinstance(base, Mapping) else None
        if not isinstance(file, Scalar):
            return self
        filled = interpolate(file.text, self._variables)
        if filled is None:
            raise self.source.fault(
                f"services.{name}.extends.file has a variable that is not set here", file.place.node
            )
        path = Path(os.path.normpath(self.source.folder / filled))
        if path == self.source.path:
            return self
        if path not in self._families:
            self._families[path] = self._read(path)
        return self._families[path]

    def _read(self, path: Path) -> Family:
        beside = os.path.relpath(path, self.source.path.parent)
        shown = os.path.normpath(os.path.join(os.path.dirname(self.source.name), beside))  # noqa: PTH118, PTH120
        source = read_source(path, shown, variables=self._variables, text=self._texts.get(path), foreign=True)
        root = Builder(source).build(source.documents[0])
        services = root.get("services") if isinstance(root, Mapping) else None
        if not isinstance(services, Mapping):
            raise source.fault("not a Compose file: it has no services", source.documents[0])
        return Family(source, services, self._texts, self._variables)
