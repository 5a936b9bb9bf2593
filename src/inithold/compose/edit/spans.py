"""The single edits: replace a value, insert keys, remove keys, turn a short list into a mapping."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.compose.edit import layout, render
from inithold.compose.edit.layout import CannotEdit, Edit
from inithold.compose.read.tree import Place, Scalar, Sequence, Value, plain

if TYPE_CHECKING:
    from inithold.compose.read.tree import Source

# The usual order: a new key goes behind the last present key before it, else to the end.
_SERVICE = ("image", "build", "container_name", "pull_policy", "entrypoint", "command", "init", "restart")
_HEALTHCHECK = ("test", "interval", "timeout", "retries", "start_period", "start_interval")
_ORDER = (*_SERVICE, "depends_on", "healthcheck", *_HEALTHCHECK)


def replace(value: Value, new: Any) -> list[Edit]:
    """Return the smallest edits that replace a written value by another."""
    place, node, source, start = value.place, value.place.node, value.place.source, value.place.start
    if isinstance(value, Sequence) and isinstance(new, list):
        return _items(place, [plain(item) for item in value.items], new)
    empty = node.start_mark.index == node.end_mark.index
    if not isinstance(node, ScalarNode) or not isinstance(value, Scalar) or empty:
        return [_whole(place, new)]
    if isinstance(new, list) and place.key is not None:
        return [_whole(place, new)]
    if isinstance(new, str) and isinstance(value.data, str) and new.endswith(node.value) and node.value:
        edit = _prefix(source, node, start, new[: -len(node.value)])
        if edit is not None:
            return [edit]
    return [_rewrite(place, new)]


def _rewrite(place: Place, new: Any) -> Edit:
    """Write a value in place of a single one, in the same quotes."""
    style = place.node.style if place.node.style in ("'", '"') else None  # type: ignore[attr-defined]
    text = render.flow(new) if isinstance(new, dict | list) else render.scalar(new, style)
    return Edit(place.source, place.start, layout.end_of(place.source, place.node), text)


def _prefix(source: Source, node: ScalarNode, start: int, prefix: str) -> Edit | None:
    """Insert a prefix into a string and keep the rest as written; None if that is impossible."""
    if node.style == "'":
        return Edit(source, start + 1, start + 1, prefix.replace("'", "''"))
    if node.style == '"':
        return Edit(source, start + 1, start + 1, render.scalar(prefix, '"')[1:-1])
    if node.style in ("|", ">"):
        line = source.text.index("\n", start) + 1
        body = source.text[line : layout.end_of(source, node)]
        at = line + len(body) - len(body.lstrip())
        return Edit(source, at, at, prefix)
    risky = (": ", " #", "\n", "[", "]", "{", "}", ",")
    plainly = render.is_plain(prefix[:1] + "x") and not any(part in prefix for part in risky)
    return Edit(source, start, start, prefix) if plainly else None


def _whole(place: Place, new: Any) -> Edit:
    source = place.source
    if place.key is None:
        raise CannotEdit("a value inside a list")
    at = layout.behind_colon(source, place.key)
    end = max(at, layout.end_of(source, place.node))
    several_lines = isinstance(new, list) and any("\n" in str(item) for item in new)
    block = several_lines and not getattr(place.holder, "flow_style", True)
    return Edit(source, at, end, _block(place, new, []) if block else f" {render.flow(new)}")


def _block(place: Place, items: list[Any], kept: list[Node]) -> str:
    """Return the text of a block list: rendered items, then nodes that keep their text."""
    source, indent = place.source, layout.indent_of(place.source, place.key or place.node) + "  "
    lines = [line for item in items for line in render.item_lines(item, indent, "  ")]
    lines += [f"{indent}- {source.text[node.start_mark.index : node.end_mark.index]}" for node in kept]
    return source.newline + source.newline.join(lines)


def _items(place: Place, old: list[Any], new: list[Any]) -> list[Edit]:
    """Replace only the items that differ, between the common beginning and end of both lists."""
    source, nodes = place.source, place.node.value
    if not old or not new or any(node.start_mark.index < place.node.start_mark.index for node in nodes):
        return [_whole(place, new)]
    tail = _alike(old[::-1], new[::-1])
    head = _alike(old[: len(old) - tail], new[: len(new) - tail])
    gone, come = nodes[head : len(nodes) - tail], new[head : len(new) - tail]
    if not gone and not head and place.can_open and place.key and any("\n" in str(item) for item in come):
        # Rewrite a flow list as a block list, with the new items first.
        at, end = layout.behind_colon(source, place.key), layout.end_of(source, place.node)
        return [Edit(source, at, end, _block(place, come, nodes))]
    both = min(len(gone), len(come))
    if any(not isinstance(node, ScalarNode) for node in gone[:both]) or (
        len(come) > both and head + both >= len(nodes)
    ):
        return [_whole(place, new)]
    edits = [_rewrite(Place(source, node, None, place.node), item) for node, item in zip(gone, come, strict=False)]
    edits += [remove_item(source, place.node, node) for node in gone[both:]]
    if len(come) > both:
        edits.append(_insert_items(source, place.node, nodes[head + both], come[both:]))
    return edits


def _alike(old: list[Any], new: list[Any]) -> int:
    """Return the number of equal items at the beginning of both lists."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))


def _insert_items(source: Source, holder: Node, before: Node, items: list[Any]) -> Edit:
    if holder.flow_style:  # type: ignore[attr-defined]
        at = int(before.start_mark.index)
        return Edit(source, at, at, "".join(f"{render.flow([item])[1:-1]}, " for item in items))
    dash = layout.dash_of(source, before)
    indent = source.text[source.line_start(dash) : dash]
    if indent.strip():
        raise CannotEdit("a list that starts behind something else on its line")
    lines = [line for item in items for line in render.item_lines(item, indent, "  ")]
    text = source.newline.join(lines)[len(indent) :]
    return Edit(source, dash, dash, f"{text}{source.newline}{indent}")


def remove_item(source: Source, holder: Node, item: Node) -> Edit:
    """Remove an item from a list."""
    nodes = holder.value
    if holder.flow_style:  # type: ignore[attr-defined]
        parts = [(int(node.start_mark.index), layout.end_of(source, node)) for node in nodes]
        return _cut(source, parts, nodes.index(item))
    if len(nodes) == 1:
        raise CannotEdit("the only item of a list")
    return Edit(source, *layout.removable(source, layout.dash_of(source, item), layout.end_of(source, item)), "")


def _cut(source: Source, parts: list[tuple[int, int]], number: int) -> Edit:
    """Remove a part of a flow collection, with a comma."""
    start, end = parts[number]
    if number + 1 < len(parts):
        return Edit(source, start, parts[number + 1][0], "")
    return Edit(source, parts[number - 1][1] if number else start, end, "")


def insert(
    source: Source, holder: MappingNode, entries: dict[str, Any], step: str, gone: AbstractSet[str] = frozenset()
) -> list[Edit]:
    """Add keys to a block or flow mapping; `gone` are the keys that other edits remove from it."""
    ordered = sorted(entries, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    if holder.flow_style or not holder.value:
        text = ", ".join(f"{render.scalar(name)}: {render.flow(entries[name])}" for name in ordered)
        if not holder.value:
            end = int(holder.end_mark.index) - 1
            return [Edit(source, end, end, text)]
        at = layout.entry_end(source, *holder.value[-1])
        return [Edit(source, at, at, f", {text}")]
    indent = layout.indent_of(source, holder.value[0][0])
    edits = []
    for name in ordered:
        fields = next((each for each in (_SERVICE, _HEALTHCHECK) if name in each and name != each[0]), (name,))
        kept = [entry for entry in holder.value if entry[0].value not in gone]
        before = [entry for entry in kept if entry[0].value in fields[: fields.index(name)]]
        key, value = (before or kept or holder.value)[-1]
        text = source.newline.join(render.block({name: entries[name]}, indent, step))
        end = layout.entry_end(source, key, value)
        if not layout.is_alias(key, value) and layout.keeps_newline(source, value):
            edits.append(Edit(source, end, end, text + source.newline))
        else:
            at = source.line_end(end)
            edits.append(Edit(source, at, at, source.newline + text))
    return edits


def remove(source: Source, holder: MappingNode, keys: set[str], parent: ScalarNode | None) -> list[Edit]:
    """Remove keys from a mapping; an empty mapping becomes `{}`."""
    parts = [(int(key.start_mark.index), layout.entry_end(source, key, value)) for key, value in holder.value]
    gone = [number for number, (key, _) in enumerate(holder.value) if key.value in keys]
    if holder.flow_style:
        return [_cut(source, parts, number) for number in gone]
    edits = [Edit(source, *layout.removable(source, *parts[number]), "") for number in gone]
    if len(gone) == len(parts):
        if parent is None:
            raise CannotEdit("nothing would be left")
        at = layout.behind_colon(source, parent)
        edits.append(Edit(source, at, at, " {}"))
    return edits


def lengthen(
    source: Source, key: ScalarNode, node: SequenceNode, entries: dict[str, dict[str, Any]], step: str
) -> list[Edit]:
    """Convert a short `depends_on` to the long form.

    Args:
        source: the file.
        key: the key `depends_on`.
        node: the list.
        entries: the new entry of each name; a name that is not in the list is added at the end.
        step: the indentation step.
    """
    items = node.value
    if any(not isinstance(item, ScalarNode) or item.start_mark.index < node.start_mark.index for item in items):
        raise CannotEdit("depends_on has aliases in it")
    if any("$" in item.value for item in items):
        raise CannotEdit("depends_on has a variable in it, which Compose fills in in the short form alone")
    names = [item.value for item in items]
    long = {name: entries.get(name, {"condition": "service_started"}) for name in names}
    added = {name: entry for name, entry in entries.items() if name not in long}
    ends = [layout.end_of(source, item) for item in items]
    if node.flow_style:
        start, end = Place(source, node, None, None).start, int(node.end_mark.index)
        edits = [Edit(source, start, start + 1, "{")]
        edits += [
            Edit(source, at, at, f": {render.flow(long[name])}") for name, at in zip(names, ends, strict=True)
        ]
        if added:
            text, at = render.flow(added)[1:-1], ends[-1] if items else end - 1
            edits.append(Edit(source, at, at, f", {text}" if items else text))
        return [*edits, Edit(source, end - 1, end, "}")]
    dashes = [layout.dash_of(source, item) for item in items]
    column = max(items[0].start_mark.column - (int(items[0].start_mark.index) - dashes[0]), 0)
    indent = " " * max(column, key.start_mark.column + len(step))
    edits = []
    for item, dash, end in zip(items, dashes, ends, strict=True):
        edits.append(Edit(source, dash, int(item.start_mark.index), indent[column:]))
        edits.append(Edit(source, end, end, ":"))
        lines = render.block(long[item.value], indent + step, step)
        if item is items[-1]:
            lines += render.block(added, indent, step)
        at = source.line_end(end)
        edits.append(Edit(source, at, at, source.newline + source.newline.join(lines)))
    return edits
