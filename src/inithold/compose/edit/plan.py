"""From changes of the merged stack to edits of the files that say so.

A value is edited where it is written when everyone who shares that text (anchors, merge keys, `extends`) is to get
the same change. Otherwise it is written into the service concerned, in the file that had the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.compose.edit import layout, render, spans
from inithold.compose.edit.layout import CannotEdit, Edit
from inithold.compose.finding import DELETE, Change
from inithold.compose.read.tree import Mapping, Scalar, Value, is_absent, plain
from inithold.compose.read.tree import Sequence as SequenceValue

if TYPE_CHECKING:
    from inithold.compose.read.project import Layer, Project, Service
    from inithold.compose.read.tree import Source

_User = tuple[str, tuple[str, ...]]
_T = TypeVar("_T", bound=Node)


@dataclass(slots=True)
class _Group(Generic[_T]):
    """What is to happen to one collection, gathered from all changes."""

    source: Source
    node: _T
    key: ScalarNode | None
    entries: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Copy:
    """What is to stand behind a key in place of an alias or of nothing."""

    source: Source
    key: ScalarNode
    child: Node
    data: Any

    def edit(self) -> Edit:
        if layout.is_alias(self.key, self.child):
            return Edit(self.source, *layout.alias_span(self.source, self.key), render.flow(self.data))
        at = layout.behind_colon(self.source, self.key)
        return Edit(self.source, at, max(at, int(self.child.end_mark.index)), f" {render.flow(self.data)}")


@dataclass(frozen=True, slots=True)
class _Way:
    """A value on its way into a service, in the file of a layer."""

    layer: Layer
    path: tuple[str, ...]
    new: Any

    def borrowed(self, depth: int) -> Any:
        """What an alias or a merge key brings at this depth, in its long form; an empty mapping for nothing."""
        written = self.layer.written.get(*self.path[: depth + 1])
        if not _has(written):
            return {}
        # The long form of a list has what `extends` brings as well: the file says it, so it stays the same.
        return plain(
            self.layer.tree.get(*self.path[: depth + 1]) if isinstance(written, SequenceValue) else written
        )


class Planner:
    """Finds the edits for a set of changes of one stack.

    Args:
        project: the stack.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._users: dict[int, set[_User]] = {}
        for service in project.services.values():
            for layer in service.layers:
                self._index(layer.tree, service.name)

    def edits(self, changes: Sequence[Change]) -> list[Edit]:
        """The edits that make these changes and nothing else.

        Raises:
            CannotEdit: there are none.
        """
        batch = _Batch(self._project, self._users, {(each.service, each.path): each.value for each in changes})
        for change in changes:
            batch.add(change)
        return batch.finish()

    def _index(self, root: Mapping, service: str) -> None:
        todo: list[tuple[Value, tuple[str, ...]]] = [(root, ())]
        while todo:
            value, path = todo.pop()
            for place in value.places:
                self._users.setdefault(id(place.node), set()).add((service, path))
            if isinstance(value, Mapping):
                todo += [(entry, (*path, name)) for name, entry in value.entries.items()]


class _Batch:
    def __init__(self, project: Project, users: dict[int, set[_User]], wants: dict[_User, Any]) -> None:
        self._project = project
        self._users = users
        self._wants = wants
        self._edits: list[Edit] = []
        self._edited: set[int] = set()
        self._inserts: dict[int, _Group[MappingNode]] = {}
        self._removals: dict[int, _Group[MappingNode]] = {}
        self._lists: dict[int, _Group[SequenceNode]] = {}
        self._copies: dict[int, _Copy] = {}

    def add(self, change: Change) -> None:
        if not change.path:
            self._add_service(change)
            return
        service = self._project.services[change.service]
        if change.value is DELETE:
            self._delete(service, change.path)
            return
        layers = [each for each in service.layers if _has(each.tree.get(*change.path))]
        if not layers:
            self._insert(self._home(service, change.path), service, change.path, change.value)
            return
        for layer in layers if change.everywhere else layers[-1:]:
            value = layer.tree.get(*change.path)
            if layer is not layers[-1] and (
                value is None or plain(value) == change.value or value.place.source.foreign
            ):
                continue
            if value is not None and self._in_place(value, change.path):
                self._replace(value, service, change)
            else:
                self._insert(layer, service, change.path, change.value)

    def _add_service(self, change: Change) -> None:
        """Before the first service that is to wait for it, and before the comments above that one."""
        waiting = [name for name, path in self._wants if path == ("depends_on", change.service)]
        layer = self._project.services[waiting[0]].layers[0]
        key, source = layer.written.place.key, layer.source
        if key is None or source.foreign or getattr(layer.written.place.holder, "flow_style", True):
            raise CannotEdit(f"there is no place for a service {change.service} before {waiting[0]}")
        indent = layout.indent_of(source, key)
        at = source.line_start(int(key.start_mark.index))
        while at and source.text[source.line_start(at - 1) : at].lstrip().startswith("#"):
            at = source.line_start(at - 1)
        lines = render.block({change.service: change.value}, indent, _step(source))
        self._edits.append(Edit(source, at, at, source.newline.join([*lines, ""])))

    def finish(self) -> list[Edit]:
        self._edits += [each.edit() for each in self._copies.values()]
        for holder in self._inserts.values():
            removed = self._removals.get(id(holder.node))
            gone = set(removed.entries) if removed is not None else set()
            self._edits += spans.insert(holder.source, holder.node, holder.entries, _step(holder.source), gone)
        for holder in self._removals.values():
            if id(holder.node) in self._inserts and len(holder.entries) == len(holder.node.value):
                raise CannotEdit("everything in a mapping is removed and something else added")
            self._edits += spans.remove(holder.source, holder.node, set(holder.entries), holder.key)
        for listed in self._lists.values():
            if listed.key is None:
                raise CannotEdit("a list without a key")
            step = _step(listed.source)
            self._edits += spans.lengthen(listed.source, listed.key, listed.node, listed.entries, step)
        return self._edits

    def _in_place(self, value: Value, path: tuple[str, ...]) -> bool:
        place = value.place
        if place.source.foreign or (place.holder is None):
            return False
        if isinstance(value, Scalar) and value.implied and not isinstance(place.holder, SequenceNode):
            return False
        return self._agreed(place.node, path, path)

    def _agreed(self, node: Node, path: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        """Does everyone who shares `node` want what is wanted here?"""
        rest = wanted[len(path) :]
        users = {user for user in self._users.get(id(node), ()) if user[1][-1:] == path[-1:]}
        values = [self._wants.get((name, (*at, *rest)), CannotEdit) for name, at in users]
        return all(value is not CannotEdit and value == values[0] for value in values)

    def _replace(self, value: Value, service: Service, change: Change) -> None:
        place = value.place
        if isinstance(value, Scalar) and value.implied and isinstance(place.holder, SequenceNode):
            key = self._key_of(service, place.holder, change.path[0])
            self._list(place.source, place.holder, key).entries[change.path[1]] = {change.path[2]: change.value}
            return
        if id(place.node) not in self._edited:
            self._edited.add(id(place.node))
            self._edits += spans.replace(value, change.value)

    def _key_of(self, service: Service, node: Node, name: str) -> ScalarNode | None:
        for layer in service.layers:
            value = layer.tree.get(name)
            for place in value.places if value is not None else ():
                if place.node is node:
                    return place.key
        return None

    def _list(self, source: Source, node: SequenceNode, key: ScalarNode | None) -> _Group[SequenceNode]:
        return self._lists.setdefault(id(node), _Group(source, node, key))

    def _home(self, service: Service, path: tuple[str, ...]) -> Layer:
        """The layer a new value goes into: the first that has most of the way to it."""
        for length in range(len(path) - 1, 0, -1):
            for layer in service.layers:
                if _has(layer.written.get(*path[:length])):
                    return layer
        return service.layers[0]

    def _insert(self, layer: Layer, service: Service, path: tuple[str, ...], new: Any) -> None:
        node, key = layer.written.place.node, layer.written.place.key
        if key is None or key.value != service.name or layer.source.foreign or not isinstance(node, MappingNode):
            raise CannotEdit(f"{service.name} is written as an alias")
        way = _Way(layer, path, new)
        for depth, name in enumerate(path[:-1]):
            found = layout.lookup(node, name)
            if found is None:
                self._open(way, node, depth)
                return
            child_key, child = found
            if layout.is_alias(child_key, child) or isinstance(child, ScalarNode):
                self._copy(way, child_key, child, depth)
                return
            if isinstance(child, SequenceNode) and name == "depends_on" and depth == 0:
                self._extend_list(way, child_key, child)
                return
            if not isinstance(child, MappingNode) or not self._agreed(child, path[: depth + 1], path):
                raise CannotEdit(f"{'.'.join(path[: depth + 1])} is shared with a service that is not to change")
            node = child
        self._put(way, node)

    def _open(self, way: _Way, node: MappingNode, depth: int) -> None:
        """Add a mapping that is not written here; a copy where a merge key brings it, which it replaces whole."""
        source, name = way.layer.source, way.path[depth]
        group = self._inserts.setdefault(id(node), _Group(source, node, None))
        if name not in group.entries:
            group.entries[name] = way.borrowed(depth)
        _put(group.entries[name], way.path[depth + 1 :], way.new)

    def _copy(self, way: _Way, key: ScalarNode, child: Node, depth: int) -> None:
        """Write a copy in place of an alias, whose other users are not to change; or something for nothing."""
        alias = layout.is_alias(key, child)
        if not alias and child.tag != "tag:yaml.org,2002:null":
            raise CannotEdit(f"{'.'.join(way.path[: depth + 1])} in {way.layer.source.name} is no mapping")
        if id(key) not in self._copies:
            data = way.borrowed(depth) if alias else {}
            self._copies[id(key)] = _Copy(way.layer.source, key, child, data)
        _put(self._copies[id(key)].data, way.path[depth + 1 :], way.new)

    def _extend_list(self, way: _Way, key: ScalarNode, node: SequenceNode) -> None:
        if not self._agreed(node, way.path[:1], way.path):
            raise CannotEdit("depends_on is shared with a service that is not to change")
        value = way.new if len(way.path) == 2 else {way.path[2]: way.new}
        self._list(way.layer.source, node, key).entries[way.path[1]] = value

    def _put(self, way: _Way, node: MappingNode) -> None:
        source, name = way.layer.source, way.path[-1]
        found = layout.lookup(node, name)
        if found is None:
            self._inserts.setdefault(id(node), _Group(source, node, None)).entries[name] = way.new
            return
        key, child = found
        if not layout.is_alias(key, child) and child.tag != "tag:yaml.org,2002:null":
            raise CannotEdit(
                f"{'.'.join(way.path)} in {source.name} is shared with a service that is not to change"
            )
        self._copies[id(key)] = _Copy(source, key, child, way.new)

    def _delete(self, service: Service, path: tuple[str, ...]) -> None:
        if len(path) == 1 and any(_is_alias(layer, path[0]) for layer in service.layers):
            self._delete_fields(service, path[0])
            return
        for place, parent in _places(service, path):
            holder = place.holder
            if place.source.foreign or not self._agreed(place.node, path, path):
                raise CannotEdit(f"{'.'.join(path)} is shared with another service, which is not to change")
            if id(place.node) in self._edited:
                continue
            self._edited.add(id(place.node))
            if isinstance(holder, MappingNode) and place.key is not None:
                group = self._removals.setdefault(id(holder), _Group(place.source, holder, parent))
                group.entries[place.key.value] = DELETE
            elif isinstance(holder, SequenceNode):
                self._edits.append(spans.remove_item(place.source, holder, place.node))
            else:
                raise CannotEdit(f"{'.'.join(path)} cannot be removed")

    def _delete_fields(self, service: Service, name: str) -> None:
        """Take a field out of each layer that has it; what its alias stands for is left to others."""
        for layer in service.layers:
            node = layer.written.place.node
            if isinstance(node, MappingNode) and layout.lookup(node, name) is not None:
                group = self._removals.setdefault(id(node), _Group(layer.source, node, layer.written.place.key))
                group.entries[name] = DELETE


def _is_alias(layer: Layer, name: str) -> bool:
    found = layout.lookup(layer.written.place.node, name)
    return found is not None and layout.is_alias(*found)


def _places(service: Service, path: tuple[str, ...]) -> Iterator[tuple[Any, ScalarNode | None]]:
    for layer in service.layers:
        value, above = layer.tree.get(*path), layer.tree.get(*path[:-1])
        if value is None or above is None:
            continue
        parents = {id(place.node): place.key for place in above.places}
        for place in value.places:
            yield place, parents.get(id(place.holder))


def _has(value: Value | None) -> bool:
    return value is not None and value.tag != "!reset" and not is_absent(value)


def _put(data: dict[str, Any], path: tuple[str, ...], new: Any) -> None:
    for name in path[:-1]:
        data = data.setdefault(name, {})
    data[path[-1]] = new


def _step(source: Source) -> str:
    """Blanks by which the file sets its services in; two where that cannot be told."""
    for root in source.documents:
        found = layout.lookup(root, "services")
        if found is not None and isinstance(found[1], MappingNode) and not found[1].flow_style and found[1].value:
            return " " * max(int(found[1].value[0][0].start_mark.column - found[0].start_mark.column), 1)
    return "  "
