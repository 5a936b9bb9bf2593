"""One Compose file: its text and its values, with merge keys and aliases resolved and their places kept."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.compose.read.interpolation import fill
from inithold.errors import DocumentError, Fault
from inithold.text.yaml12 import CoreSchemaResolver, compose_all, read_text

_CORE = "tag:yaml.org,2002:"
_KNOWN = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")} | {"!"}
_RESOLVER = CoreSchemaResolver()
_PROPERTIES = re.compile(r"(?:[&!]\S*\s*)*")
RESET, OVERRIDE = "!reset", "!override"
# Nested aliases grow exponentially ("billion laughs"); Compose refuses such files, too.
_MOST_VALUES = 2_000_000
# A stack of 30,000 lines is about 1 MB; a much larger file is not a Compose file.
_LARGEST = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True, eq=False)
class Source:
    """A Compose file as read.

    Args:
        path: its absolute path.
        name: its name in messages.
        text: its content, without a byte order mark.
        marked: it starts with a byte order mark.
        documents: the root node of each YAML document in it.
        foreign: it is only extended from, so it is never edited.
        base: the folder that its relative names start from, if not its own.
        variables: for interpolation.
    """

    path: Path
    name: str
    text: str
    marked: bool
    documents: list[Node]
    foreign: bool = False
    base: Path | None = None
    variables: MappingOf[str, str] = field(default_factory=dict)
    _starts: list[int] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder that its relative names start from."""
        return self.base if self.base is not None else self.path.parent

    @property
    def newline(self) -> str:
        r"""The line ending of its first line: `\r\n` or `\n`."""
        return "\r\n" if self.text.partition("\n")[0].endswith("\r") else "\n"

    @property
    def data(self) -> bytes:
        """The file's bytes, including the byte order mark."""
        return self.encoded(self.text)

    def encoded(self, text: str) -> bytes:
        """Encode another text like this file."""
        return (_BOM if self.marked else b"") + text.encode()

    def line_start(self, offset: int) -> int:
        """Return the offset of the beginning of the line at `offset`."""
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Return the offset of the line ending of the line at `offset`."""
        end = self.text.find("\n", offset)
        if end < 0:
            return len(self.text)
        return end - 1 if end > offset and self.text[end - 1] == "\r" else end

    def line_of(self, offset: int) -> int:
        """Return the 0-based number of the line at `offset`."""
        if not self._starts:
            self._starts = [match.end() for match in re.finditer("\n", self.text)]
        return bisect_right(self._starts, offset)

    def fault(self, message: str, node: Node | None = None) -> DocumentError:
        """Return an error in this file, at the node if one is given."""
        if node is None:
            return DocumentError(Fault(message, file=self.name))
        mark = node.start_mark
        return DocumentError(Fault(message, file=self.name, line=mark.line + 1, column=mark.column + 1))


def read_source(
    path: Path,
    name: str,
    *,
    variables: MappingOf[str, str],
    text: str | None = None,
    foreign: bool = False,
    base: Path | None = None,
) -> Source:
    """Read and parse a Compose file.

    Args:
        path: its absolute path.
        name: its name in messages.
        variables: for interpolation.
        text: content to use instead of that on disk.
        foreign: see `Source`.
        base: see `Source`.

    Raises:
        DocumentError: missing, unreadable, too large, not UTF-8, not YAML.
    """
    marked = False
    if text is None:
        try:
            text = read_text(path, limit=_LARGEST)
            with path.open("rb") as stream:
                marked = stream.read(len(_BOM)) == _BOM
        except DocumentError as error:
            error.fault.file = name
            raise DocumentError(error.fault) from None
    return Source(path, name, text, marked, compose_all(text, file=name), foreign, base, variables)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a value is written: its node, its key, and the mapping or list that contains it there."""

    source: Source
    node: Node
    key: ScalarNode | None
    holder: Node | None

    @property
    def start(self) -> int:
        """The offset of the value itself, behind its anchor and tag."""
        match = _PROPERTIES.match(self.source.text, self.node.start_mark.index, self.node.end_mark.index)
        return match.end() if match is not None else int(self.node.start_mark.index)

    @property
    def can_open(self) -> bool:
        """Whether this is a one-line flow list that could be rewritten as a block list."""
        node, key, holder = self.node, self.key, self.holder
        if not isinstance(node, SequenceNode) or not node.flow_style or key is None:
            return False
        one_line = node.start_mark.line == node.end_mark.line == key.start_mark.line
        return bool(one_line and isinstance(holder, MappingNode) and not holder.flow_style)


@dataclass(slots=True, eq=False)
class Value:
    """Base of the values. `places` has every place that contributes; the last one has precedence."""

    places: tuple[Place, ...]
    tag: str | None = None

    @property
    def place(self) -> Place:
        """The place with precedence, in the last file that has one."""
        return self.places[-1]


@dataclass(slots=True, eq=False)
class Scalar(Value):
    """A single value. `implied`: a short form implies it without writing it."""

    data: Any = None
    implied: bool = False

    @property
    def filled(self) -> str:
        """The interpolated value, as far as variables are known here."""
        return fill(self.text, self.place.source.variables)

    @property
    def text(self) -> str:
        """The value as written, as the text of a string field."""
        if self.data is None:
            return ""
        node = self.place.node
        if isinstance(self.data, str) or self.implied or not isinstance(node, ScalarNode):
            return str(self.data).lower() if isinstance(self.data, bool) else str(self.data)
        return str(node.value)


@dataclass(slots=True, eq=False)
class Mapping(Value):
    """Keys and values, in order."""

    entries: dict[str, Value] = field(default_factory=dict)

    def get(self, *path: str) -> Value | None:
        """Return the value under `path`, or None."""
        value: Value | None = self
        for part in path:
            value = value.entries.get(part) if isinstance(value, Mapping) else None
        return value


@dataclass(slots=True, eq=False)
class Sequence(Value):
    """A list of values."""

    items: list[Value] = field(default_factory=list)


def is_absent(value: Value | None) -> bool:
    """Whether a value is missing or empty (`healthcheck:`)."""
    return value is None or (isinstance(value, Scalar) and value.data is None)


def plain(value: Value | None) -> Any:
    """Return the data of a value: dict, list, str, int, float, bool or None."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.entries.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value.items]
    return value.data if isinstance(value, Scalar) else None


class Builder:
    """Turns the nodes of one file into values.

    Raises:
        DocumentError: duplicate keys, unknown tags, keys that are no scalars, anchors that contain themselves.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._done: dict[int, tuple[Value, int]] = {}
        self._open: set[int] = set()

    def build(self, node: Node) -> Value:
        """Return the value of a document's root node."""
        try:
            return self._value(node, None, None)[0]
        except RecursionError:
            raise self.source.fault("not a Compose file: nested too deeply") from None

    def _value(self, node: Node, key: ScalarNode | None, holder: Node | None) -> tuple[Value, int]:
        """Return the value of a node and the number of values in it."""
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            raise self.source.fault("an anchor contains itself", node)
        tag = None if node.tag in _KNOWN else str(node.tag)
        if tag not in (None, RESET, OVERRIDE):
            shown = node.tag.replace(_CORE, "!!")
            raise self.source.fault(f"unknown tag {shown}; Compose knows !reset and !override", node)
        self._open.add(id(node))
        places, size = (Place(self.source, node, key, holder),), 1
        value: Value
        if isinstance(node, ScalarNode):
            value = Scalar(places, tag, _data(node, tag))
        elif isinstance(node, SequenceNode):
            items = [self._value(child, None, node) for child in node.value]
            value, size = Sequence(places, tag, [item for item, _ in items]), 1 + sum(count for _, count in items)
        else:
            entries, size = self._entries(node)
            value = Mapping(places, tag, entries)
        self._open.discard(id(node))
        if size > _MOST_VALUES:
            raise self.source.fault("aliases expand to millions of values", node)
        self._done[id(node)] = value, size
        return value, size

    def _entries(self, node: Node) -> tuple[dict[str, Value], int]:
        entries: dict[str, Value] = {}
        merged: list[Mapping] = []
        names: set[str] = set()
        size = 1
        for key, child in node.value:
            if not isinstance(key, ScalarNode):
                raise self.source.fault("a key must be a single value", key)
            if key.value in names:
                raise self.source.fault(f"duplicate key {key.value!r}", key)
            names.add(key.value)
            value, count = self._value(child, key, node)
            size += count
            if key.tag != f"{_CORE}merge":
                entries[key.value] = value
                continue
            for part in value.items if isinstance(value, Sequence) else [value]:
                if not isinstance(part, Mapping):
                    raise self.source.fault("a merge key (<<) takes a mapping or a list of mappings", child)
                merged.append(part)
        for part in merged:
            for name, value in part.entries.items():
                own = entries.get(name)
                if own is None:
                    entries[name] = value
                elif own.tag == RESET:
                    # Compose removes the key before it merges: the merge key's value overrides earlier files.
                    entries[name] = replace(value, tag=OVERRIDE)
        return entries, size


def _data(node: ScalarNode, tag: str | None) -> Any:
    """Return the data of a single value; a text that does not fit its tag stays a text."""
    kind, text = node.tag, str(node.value)
    if tag is not None:
        kind = cast(Any, _RESOLVER).resolve(ScalarNode, text, (node.style is None, False))
    try:
        match kind.removeprefix(_CORE):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            case "float":
                return float(text)
    except ValueError:
        pass
    return text
