"""The single edits: replace a value, insert keys, remove keys, turn a short list into a mapping."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.compose.edit import layout, render
from inithold.compose.edit.layout import CannotEdit, Edit
from inithold.compose.read.tree import Place, Scalar, Sequence, Source, Value, plain

# New keys go behind the last of these that is there, else to the end.
_BEHIND = {
    "entrypoint": ("image", "build", "container_name", "pull_policy"),
    "command": ("image", "build", "container_name", "pull_policy", "entrypoint"),
    "init": ("image", "build", "container_name", "pull_policy", "entrypoint", "command"),
    "restart": ("image", "build", "container_name", "pull_policy", "entrypoint", "command", "init"),
    "interval": ("test",),
    "timeout": ("test", "interval"),
    "start_period": ("test", "interval", "timeout", "retries"),
    "start_interval": ("test", "interval", "timeout", "retries", "start_period"),
}
_ORDER = ("entrypoint", "command", "init", "restart", "depends_on", "healthcheck", "test", *_BEHIND)


def replace(value: Value, new: Any) -> list[Edit]:
    """Edits that make a written value another, with as little of the text touched as can be."""
    place = value.place
    if isinstance(value, Sequence) and isinstance(new, list):
        return _items(place, [plain(item) for item in value.items], new)
    node = place.node
    if isinstance(node, ScalarNode) and isinstance(value, Scalar):
        return [_scalar(place, node, value, new)]
    return [_whole(place, new)]


def _scalar(place: Place, node: ScalarNode, value: Scalar, new: Any) -> Edit:
    source, start = place.source, place.start
    if node.start_mark.index == node.end_mark.index:
        if place.key is None:
            raise CannotEdit("an empty list item")
        at = layout.behind_colon(source, place.key)
        return Edit(source, at, at, f" {render.flow(new)}")
    if isinstance(new, list) and place.key is not None:
        return _whole(place, new)
    if isinstance(new, str) and isinstance(value.data, str) and new.endswith(node.value) and node.value:
        edit = _prefix(source, node, start, new[: -len(node.value)])
        if edit is not None:
            return edit
    return Edit(source, start, layout.end_of(source, node), _rendered(node, new))


def _rendered(node: ScalarNode, new: Any) -> str:
    if isinstance(new, dict | list):
        return render.flow(new)
    return render.scalar(new, node.style if node.style in ("'", '"') else None)


def _prefix(source: Source, node: ScalarNode, start: int, prefix: str) -> Edit | None:
    if node.style == "'":
        return Edit(source, start + 1, start + 1, prefix.replace("'", "''"))
    if node.style == '"':
        return Edit(source, start + 1, start + 1, render.scalar(prefix, '"')[1:-1])
    if node.style in ("|", ">"):
        at = source.text.index("\n", start) + 1
        end = layout.end_of(source, node)
        while at < end and source.text[at].isspace():
            at += 1
        return Edit(source, at, at, prefix)
    risky = (": ", " #", "\n", "[", "]", "{", "}", ",")
    if render.is_plain(prefix[:1] + "x") and not any(part in prefix for part in risky):
        return Edit(source, start, start, prefix)
    return None


def _whole(place: Place, new: Any) -> Edit:
    source = place.source
    if place.key is None:
        raise CannotEdit("a value inside a list")
    at, end = layout.behind_colon(source, place.key), layout.end_of(source, place.node)
    on_one_line = not isinstance(new, list) or not any("\n" in str(item) for item in new)
    if on_one_line or getattr(place.holder, "flow_style", True):
        return Edit(source, at, end, f" {render.flow(new)}")
    indent = layout.indent_of(source, place.key) + "  "
    lines = [line for item in new for line in render.item_lines(item, indent, "  ")]
    return Edit(source, at, end, source.newline + source.newline.join(lines))


def _items(place: Place, old: list[Any], new: list[Any]) -> list[Edit]:
    """Only the items that differ: what both lists start and end with stays."""
    source, nodes = place.source, place.node.value
    if not old or not new or any(node.start_mark.index < place.node.start_mark.index for node in nodes):
        return [_whole(place, new)]
    tail = 0
    while tail < min(len(old), len(new)) and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    head = 0
    while head < min(len(old), len(new)) - tail and old[head] == new[head]:
        head += 1
    gone, come = nodes[head : len(nodes) - tail], new[head : len(new) - tail]
    if not gone and not head and place.can_open and any("\n" in str(item) for item in come):
        return [_opened(place, come)]
    edits = []
    for node, item in zip(gone, come, strict=False):
        if not isinstance(node, ScalarNode):
            return [_whole(place, new)]
        at = Place(source, node, None, place.node)
        edits.append(Edit(source, at.start, layout.end_of(source, node), _rendered(node, item)))
    both = min(len(gone), len(come))
    if len(gone) > both:
        edits += [remove_item(source, place.node, node) for node in gone[both:]]
    elif len(come) > both:
        if head + both >= len(nodes):
            return [_whole(place, new)]
        edits.append(_insert_items(source, place.node, nodes[head + both], come[both:]))
    return edits


def _opened(place: Place, items: list[Any]) -> Edit:
    """A list in brackets as a block list, with items before its own, which keep their text."""
    source, key = place.source, place.key
    assert key is not None  # noqa: S101 - for the type checker: `can_open` looked
    indent = layout.indent_of(source, key) + "  "
    lines = [line for item in items for line in render.item_lines(item, indent, "  ")]
    lines += [f"{indent}- {source.text[node.start_mark.index : node.end_mark.index]}" for node in place.node.value]
    text = source.newline + source.newline.join(lines)
    return Edit(source, layout.behind_colon(source, key), layout.end_of(source, place.node), text)


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
    """Take one item out of a list."""
    nodes = holder.value
    if not holder.flow_style:  # type: ignore[attr-defined]
        if len(nodes) == 1:
            raise CannotEdit("the only item of a list")
        dash = layout.dash_of(source, item)
        return Edit(source, *layout.removable(source, dash, layout.end_of(source, item)), "")
    number = nodes.index(item)
    if number + 1 < len(nodes):
        return Edit(source, int(item.start_mark.index), int(nodes[number + 1].start_mark.index), "")
    start = layout.end_of(source, nodes[number - 1]) if number else int(item.start_mark.index)
    return Edit(source, start, layout.end_of(source, item), "")


def insert(
    source: Source, holder: MappingNode, entries: dict[str, Any], step: str, gone: AbstractSet[str] = frozenset()
) -> list[Edit]:
    """Add keys to a mapping, block or flow; `gone` are keys of it that are removed."""
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
        key, value = _behind(holder, name, gone)
        lines = render.block({name: entries[name]}, indent, step)
        text = source.newline.join(lines)
        end = layout.entry_end(source, key, value)
        if not layout.is_alias(key, value) and layout.keeps_newline(source, value):
            edits.append(Edit(source, end, end, text + source.newline))
        else:
            at = source.line_end(end)
            edits.append(Edit(source, at, at, source.newline + text))
    return edits


def _behind(holder: MappingNode, name: str, gone: AbstractSet[str]) -> tuple[ScalarNode, Node]:
    kept = [entry for entry in holder.value if entry[0].value not in gone]
    there = [entry for entry in kept if entry[0].value in _BEHIND.get(name, ())]
    found: tuple[ScalarNode, Node] = (there or kept or holder.value)[-1]
    return found


def remove(source: Source, holder: MappingNode, keys: set[str], parent: ScalarNode | None) -> list[Edit]:
    """Take keys out of a mapping; one that is left empty becomes `{}`."""
    entries = holder.value
    gone = [entry for entry in entries if entry[0].value in keys]
    if holder.flow_style:
        return [_remove_flow(source, entries, entry) for entry in gone]
    spans = [
        layout.removable(source, int(key.start_mark.index), layout.entry_end(source, key, value))
        for key, value in gone
    ]
    edits = [Edit(source, *span, "") for span in spans]
    if len(gone) == len(entries):
        if parent is None:
            raise CannotEdit("nothing would be left")
        at = layout.behind_colon(source, parent)
        edits.append(Edit(source, at, at, " {}"))
    return edits


def _remove_flow(source: Source, entries: list[tuple[ScalarNode, Node]], entry: tuple[ScalarNode, Node]) -> Edit:
    number = entries.index(entry)
    start, end = int(entry[0].start_mark.index), layout.entry_end(source, *entry)
    if number + 1 < len(entries):
        return Edit(source, start, int(entries[number + 1][0].start_mark.index), "")
    return Edit(source, layout.entry_end(source, *entries[number - 1]) if number else start, end, "")


def lengthen(
    source: Source, key: ScalarNode, node: SequenceNode, entries: dict[str, dict[str, Any]], step: str
) -> list[Edit]:
    """Turn the short `depends_on` into the long one.

    Args:
        source: the file.
        key: the key `depends_on`.
        node: the list.
        entries: what each name shall say; a name that is not in the list is added at the end.
        step: blanks by which nested values are set in.
    """
    items = node.value
    if any(not isinstance(item, ScalarNode) or item.start_mark.index < node.start_mark.index for item in items):
        raise CannotEdit("depends_on has aliases in it")
    if any("$" in item.value for item in items):
        raise CannotEdit("depends_on has a variable in it, which Compose fills in in the short form alone")
    names = {item.value for item in items}
    added = {name: entry for name, entry in entries.items() if name not in names}
    if node.flow_style:
        return _lengthen_flow(source, node, entries, added)
    edits: list[Edit] = []
    column = max(
        items[0].start_mark.column - (int(items[0].start_mark.index) - layout.dash_of(source, items[0])), 0
    )
    wanted = max(column, key.start_mark.column + len(step))
    indent = " " * wanted
    for item in items:
        dash, end = layout.dash_of(source, item), layout.end_of(source, item)
        edits.append(Edit(source, dash, int(item.start_mark.index), " " * (wanted - column)))
        edits.append(Edit(source, end, end, ":"))
        body = source.newline.join(render.block(_entry(entries, item.value), indent + step, step))
        at = source.line_end(end)
        edits.append(Edit(source, at, at, source.newline + body))
    if added:
        at = edits[-1].start
        edits.append(Edit(source, at, at, source.newline + source.newline.join(render.block(added, indent, step))))
    return edits


def _lengthen_flow(
    source: Source, node: SequenceNode, entries: dict[str, Any], added: dict[str, Any]
) -> list[Edit]:
    start, end = Place(source, node, None, None).start, int(node.end_mark.index)
    edits = [Edit(source, start, start + 1, "{")]
    for item in node.value:
        at = layout.end_of(source, item)
        edits.append(Edit(source, at, at, f": {render.flow(_entry(entries, item.value))}"))
    if added:
        at = layout.end_of(source, node.value[-1]) if node.value else end - 1
        text = render.flow(added)[1:-1]
        edits.append(Edit(source, at, at, f", {text}" if node.value else text))
    return [*edits, Edit(source, end - 1, end, "}")]


def _entry(entries: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return entries.get(name, {"condition": "service_started"})
