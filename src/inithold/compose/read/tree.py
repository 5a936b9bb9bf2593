"""The values of a Compose file, with merge keys and aliases resolved and every origin kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.compose.read.environment import fill
from inithold.compose.read.source import Source
from inithold.text.yaml12 import CoreSchemaResolver

_CORE = "tag:yaml.org,2002:"
_KNOWN = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")} | {"!"}
RESET, OVERRIDE = "!reset", "!override"
# Aliases of aliases grow without bound ("billion laughs"); Compose refuses such files too.
_MOST_VALUES = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a value is written: the node, its key, and the collection that literally holds it."""

    source: Source
    node: Node
    key: ScalarNode | None
    holder: Node | None

    @property
    def start(self) -> int:
        """Offset of the value itself, behind an anchor or tag."""
        text, at = self.source.text, self.node.start_mark.index
        end = self.node.end_mark.index
        while at < end and text[at] in "&!":
            while at < end and not text[at].isspace():
                at += 1
            while at < end and text[at].isspace():
                at += 1
        return int(at)

    @property
    def can_open(self) -> bool:
        """Is this a list in brackets, on one line, that could as well stand as a block list?"""
        node, key, holder = self.node, self.key, self.holder
        if not isinstance(node, SequenceNode) or not node.flow_style or key is None:
            return False
        one_line = node.start_mark.line == node.end_mark.line == key.start_mark.line
        return bool(one_line and isinstance(holder, MappingNode) and not holder.flow_style)


@dataclass(slots=True, eq=False)
class Value:
    """Base of the values. `places` holds every place that contributes, the one that counts last."""

    places: tuple[Place, ...]
    tag: str | None = None

    @property
    def place(self) -> Place:
        """The place that counts: of the last file that says something."""
        return self.places[-1]


@dataclass(slots=True, eq=False)
class Scalar(Value):
    """A single value. `implied` where the short form says it without writing it."""

    data: Any = None
    implied: bool = False

    @property
    def filled(self) -> str:
        """The value as Compose reads it, its variables filled in as far as they are known here."""
        return fill(self.text, self.place.source.variables)

    @property
    def text(self) -> str:
        """The value as it is written, as a string field has it."""
        if self.data is None:
            return ""
        node = self.places[-1].node
        if isinstance(self.data, str) or self.implied or not isinstance(node, ScalarNode):
            return str(self.data).lower() if isinstance(self.data, bool) else str(self.data)
        return str(node.value)


@dataclass(slots=True, eq=False)
class Mapping(Value):
    """Keys and values, in order."""

    entries: dict[str, Value] = None  # type: ignore[assignment]  # always given

    def get(self, *path: str) -> Value | None:
        """The value under `path`, or None."""
        found: Value | None = self
        for part in path:
            if not isinstance(found, Mapping):
                return None
            found = found.entries.get(part)
        return found


@dataclass(slots=True, eq=False)
class Sequence(Value):
    """A list of values."""

    items: list[Value] = None  # type: ignore[assignment]  # always given


def plain(value: Value | None) -> Any:
    """The bare data of a value: dict, list, str, int, float, bool, None."""
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

    resolver: ClassVar[CoreSchemaResolver] = CoreSchemaResolver()

    def __init__(self, source: Source) -> None:
        self.source = source
        self._done: dict[int, tuple[Value, int]] = {}
        self._open: set[int] = set()

    def build(self, node: Node) -> Value:
        """The value of a document's root node."""
        try:
            return self._value(node, None, None)[0]
        except RecursionError:
            raise self.source.fault("not a Compose file: nested too deeply") from None

    def _value(self, node: Node, key: ScalarNode | None, holder: Node | None) -> tuple[Value, int]:
        known = self._done.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            raise self.source.fault("an anchor contains itself", node)
        place = Place(self.source, node, key, holder)
        tag = self._tag(node)
        self._open.add(id(node))
        if isinstance(node, ScalarNode):
            made: tuple[Value, int] = Scalar((place,), tag, self._data(node, tag)), 1
        elif isinstance(node, SequenceNode):
            made = self._sequence(node, place, tag)
        else:
            made = self._mapping(node, place, tag)
        self._open.discard(id(node))
        if made[1] > _MOST_VALUES:
            raise self.source.fault("aliases expand to millions of values", node)
        self._done[id(node)] = made
        return made

    def _tag(self, node: Node) -> str | None:
        if node.tag in _KNOWN:
            return None
        if node.tag in (RESET, OVERRIDE):
            return str(node.tag)
        shown = node.tag.replace(_CORE, "!!")
        raise self.source.fault(f"unknown tag {shown}; Compose knows !reset and !override", node)

    def _data(self, node: ScalarNode, tag: str | None) -> Any:
        name = (
            node.tag
            if tag is None
            else cast(Any, self.resolver).resolve(ScalarNode, node.value, (node.style is None, False))
        )
        kind = name.removeprefix(_CORE)
        text: str = node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return _integer(text)
        return text if kind != "float" or not _is_float(text) else float(text)

    def _sequence(self, node: SequenceNode, place: Place, tag: str | None) -> tuple[Value, int]:
        items, size = [], 1
        for child in node.value:
            value, count = self._value(child, None, node)
            items.append(value)
            size += count
        return Sequence((place,), tag, items), size

    def _mapping(self, node: Node, place: Place, tag: str | None) -> tuple[Value, int]:
        entries: dict[str, Value] = {}
        merged: list[Mapping] = []
        seen: set[str] = set()
        size = 1
        for key, child in node.value:
            if not isinstance(key, ScalarNode):
                raise self.source.fault("a key must be a single value", key)
            name = key.value
            if name in seen:
                raise self.source.fault(f"duplicate key {name!r}", key)
            seen.add(name)
            value, count = self._value(child, key, node)
            size += count
            if key.tag == f"{_CORE}merge":
                merged.extend(self._merge_parts(value, child))
            else:
                entries[name] = value
        for part in merged:
            for name, value in part.entries.items():
                own = entries.get(name)
                if own is None:
                    entries[name] = value
                elif own.tag == RESET:
                    # Compose takes a key away before it merges: what the merge key brings replaces earlier files'.
                    entries[name] = replace(value, tag=OVERRIDE)
        return Mapping((place,), tag, entries), size

    def _merge_parts(self, value: Value, node: Node) -> list[Mapping]:
        parts = value.items if isinstance(value, Sequence) else [value]
        mappings = [part for part in parts if isinstance(part, Mapping)]
        if len(mappings) != len(parts):
            raise self.source.fault("a merge key (<<) takes a mapping or a list of mappings", node)
        return mappings


def _integer(text: str) -> Any:
    try:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    except ValueError:
        return text


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
