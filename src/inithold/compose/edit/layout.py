"""Finds spans in a file: ends of values, aliases, whole lines of entries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yaml.nodes import MappingNode, Node, ScalarNode

if TYPE_CHECKING:
    from inithold.compose.read.tree import Source

_COLON = re.compile(r"\s*:(?:[ \t]+[&!][^\s,\[\]{}]*)*")
_ALIAS = re.compile(r"\s*:\s*(\*[^\s,\[\]{}]+)")


class CannotEdit(Exception):
    """The change cannot be made by an automatic edit; the message says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace one span of a file."""

    source: Source
    start: int
    end: int
    text: str


def is_alias(key: ScalarNode, value: Node) -> bool:
    """Whether the value is an `*alias`: its node is then the anchor's, which comes before the key."""
    return bool(value.start_mark.index < key.end_mark.index)


def alias_span(source: Source, key: ScalarNode) -> tuple[int, int]:
    """Return the span of the alias behind a key."""
    match = _ALIAS.match(source.text, key.end_mark.index)
    if match is None:
        raise CannotEdit("an alias is written in a form that is not understood")
    return match.start(1), match.end(1)


def behind_colon(source: Source, key: ScalarNode) -> int:
    """Return the offset behind `key:` and any anchor or tag on the line."""
    match = _COLON.match(source.text, key.end_mark.index)
    if match is None:
        raise CannotEdit("a key is written in a form that is not understood")
    return match.end()


def end_of(source: Source, node: Node) -> int:
    """Return the end of a value, without the comments and blank lines behind it."""
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if isinstance(node, ScalarNode):
        trailing = node.style in ("|", ">") and not _keeps(source, node)
        return start + len(source.text[start:end].rstrip()) if trailing else end
    if node.flow_style or not node.value:  # type: ignore[attr-defined]
        return end
    if isinstance(node, MappingNode):
        return entry_end(source, *node.value[-1])
    if node.value[-1].start_mark.index < start:
        raise CannotEdit("a list ends with an alias")
    return end_of(source, node.value[-1])


def _keeps(source: Source, node: ScalarNode) -> bool:
    """Whether it is a block scalar that keeps the line breaks at its end (`|+`)."""
    header = source.text[node.start_mark.index : node.end_mark.index].split("\n", 1)[0]
    return node.style in ("|", ">") and "+" in header


def entry_end(source: Source, key: ScalarNode, value: Node) -> int:
    """Return the end of a mapping's entry."""
    if is_alias(key, value):
        return alias_span(source, key)[1]
    if isinstance(value, ScalarNode) and value.start_mark.index == value.end_mark.index:
        return behind_colon(source, key)
    return max(end_of(source, value), behind_colon(source, key))


def indent_of(source: Source, node: Node) -> str:
    """Return the indentation of a node's column, as written if the node starts its line."""
    start = int(node.start_mark.index)
    before = source.text[source.line_start(start) : start]
    return before if not before.strip() else " " * node.start_mark.column


def keeps_newline(source: Source, value: Node) -> bool:
    """Whether the value includes its final line break (a block scalar with `+`)."""
    end = int(value.end_mark.index)
    return isinstance(value, ScalarNode) and source.text[end - 1 : end] == "\n" and _keeps(source, value)


def removable(source: Source, start: int, end: int) -> tuple[int, int]:
    """Extend a span to whole lines for removal, or up to a comment behind it, which stays."""
    rest = source.text[end : source.line_end(end)]
    if rest.lstrip().startswith("#"):
        return start, end + rest.index("#")
    first, last = source.line_start(start), source.line_end(end)
    if last < len(source.text):
        return first, source.text.index("\n", last) + 1
    # The last line has no line break: remove the one before it.
    before = first - (2 if source.text[max(first - 2, 0) : first] == "\r\n" else 1)
    return max(before, 0), last


def dash_of(source: Source, item: Node) -> int:
    """Return the offset of the dash of a block list's item."""
    dash = source.text.rfind("-", 0, item.start_mark.index)
    if dash < 0 or source.text[dash + 1 : item.start_mark.index].strip():
        raise CannotEdit("a list item is written in a form that is not understood")
    return dash


def lookup(node: Node, name: str) -> tuple[ScalarNode, Node] | None:
    """Return the entry `name` as written in this mapping (no merge keys), or None."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == name:
                return key, value
    return None
