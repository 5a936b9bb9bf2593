"""Plans the edits of files that make changes of the merged stack.

A value is edited in place if all services that share its text (by anchors, merge keys or `extends`) get the same
change. Otherwise it is written into the service itself, in the file that has precedence.
"""

from __future__ import annotations

from collections.abc import Sequence
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

_NULL = "tag:yaml.org,2002:null"
_User = tuple[str, tuple[str, ...]]
_T = TypeVar("_T", bound=Node)


def plan_edits(project: Project, changes: Sequence[Change]) -> list[Edit]:
    """Return the edits that make exactly these changes of a stack.

    Raises:
        CannotEdit: no edits do.
    """
    planner = _Planner(project, changes)
    for change in changes:
        planner.add(change)
    return planner.finish()


@dataclass(slots=True)
class _Group(Generic[_T]):
    """The entries to change in one mapping or list, collected from all changes."""

    source: Source
    node: _T
    key: ScalarNode | None
    entries: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Copy:
    """Data to write behind a key instead of an alias or an empty value."""

    source: Source
    key: ScalarNode
    child: Node
    data: Any

    def edit(self) -> Edit:
        if layout.is_alias(self.key, self.child):
            return Edit(self.source, *layout.alias_span(self.source, self.key), render.flow(self.data))
        at = layout.behind_colon(self.source, self.key)
        return Edit(self.source, at, max(at, int(self.child.end_mark.index)), f" {render.flow(self.data)}")


class _Planner:
    def __init__(self, project: Project, changes: Sequence[Change]) -> None:
        self._project = project
        self._goals = {(each.service, each.path): each.value for each in changes}
        self._users: dict[int, set[_User]] = {}
        self._edits: list[Edit] = []
        self._edited: set[int] = set()
        self._inserts: dict[int, _Group[MappingNode]] = {}
        self._removals: dict[int, _Group[MappingNode]] = {}
        self._lists: dict[int, _Group[SequenceNode]] = {}
        self._copies: dict[int, _Copy] = {}
        for service in project.services.values():
            todo: list[tuple[Value, tuple[str, ...]]] = [(layer.tree, ()) for layer in service.layers]
            while todo:
                value, path = todo.pop()
                for place in value.places:
                    self._users.setdefault(id(place.node), set()).add((service.name, path))
                if isinstance(value, Mapping):
                    todo += [(entry, (*path, name)) for name, entry in value.entries.items()]

    def add(self, change: Change) -> None:
        if not change.path:
            self._add_service(change)
            return
        service, path = self._project.services[change.service], change.path
        if change.value is DELETE:
            self._delete(service, path)
            return
        layers = [each for each in service.layers if _has(each.tree.get(*path))]
        if change.first and service.layers[0] not in layers:
            self._insert(service.layers[0], service, path, change.value)
        elif not layers:
            # Insert into the first file that has the longest part of the path.
            ways = (path[:length] for length in range(len(path) - 1, 0, -1))
            homes = (layer for way in ways for layer in service.layers if _has(layer.written.get(*way)))
            self._insert(next(homes, service.layers[0]), service, path, change.value)
        for layer in layers if change.everywhere else layers[-1:]:
            value = layer.tree.get(*path)
            if value is None or (
                layer is not layers[-1] and (plain(value) == change.value or value.place.source.foreign)
            ):
                continue
            place, implied = value.place, isinstance(value, Scalar) and value.implied
            literal = not implied or isinstance(place.holder, SequenceNode)
            if (
                place.source.foreign
                or place.holder is None
                or not literal
                or not self._agreed(place.node, path, path)
            ):
                self._insert(layer, service, path, change.value)
            elif implied and isinstance(place.holder, SequenceNode):
                named = [each for each in service.layers if (each.tree.get(path[0])) is not None]
                places = [place for each in named for place in each.tree.entries[path[0]].places]
                key = next((each.key for each in places if each.node is place.holder), None)
                self._list(place.source, place.holder, key).entries[path[1]] = {path[2]: change.value}
            elif id(place.node) not in self._edited:
                self._edited.add(id(place.node))
                self._edits += spans.replace(value, change.value)

    def _add_service(self, change: Change) -> None:
        """Insert a service before the first one that will wait for it, above that one's comments."""
        waiting = [name for name, path in self._goals if path == ("depends_on", change.service)]
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

    def _agreed(self, node: Node, path: tuple[str, ...], goal: tuple[str, ...]) -> bool:
        """Whether everything that shares `node` gets the same change."""
        users = {user for user in self._users.get(id(node), ()) if user[1][-1:] == path[-1:]}
        values = [self._goals.get((name, (*at, *goal[len(path) :])), CannotEdit) for name, at in users]
        return all(value is not CannotEdit and value == values[0] for value in values)

    def _list(self, source: Source, node: SequenceNode, key: ScalarNode | None) -> _Group[SequenceNode]:
        return self._lists.setdefault(id(node), _Group(source, node, key))

    def _insert(self, layer: Layer, service: Service, path: tuple[str, ...], new: Any) -> None:
        node, own, source = layer.written.place.node, layer.written.place.key, layer.source
        if own is None or own.value != service.name or source.foreign or not isinstance(node, MappingNode):
            raise CannotEdit(f"{service.name} is written as an alias")
        for depth, name in enumerate(path):
            here, rest = path[: depth + 1], path[depth + 1 :]
            shared = CannotEdit(
                f"{'.'.join(here)} in {source.name} is shared with a service that is not to change"
            )
            entry = layout.lookup(node, name)
            brought = layer.written.get(*here) if entry is None and rest else None
            holder = brought.place.node if brought is not None else None
            if isinstance(holder, MappingNode) and self._agreed(holder, here, path):
                # From a merge key: edit the anchor's mapping if all its users get the same change.
                node = holder
                continue
            if entry is None:
                # A key written here replaces the merge key's whole value, so insert a changed copy of it.
                entries = self._inserts.setdefault(id(node), _Group(source, node, None)).entries
                entries[name] = _put(entries.get(name) or _borrowed(layer, here), rest, new)
                return
            key, child = entry
            alias = layout.is_alias(key, child)
            together = rest and isinstance(child, MappingNode) and self._agreed(child, here, path)
            if (alias and not together) or child.tag == _NULL:
                # Replace an alias by a changed copy, as its other users must not change; or fill an empty value.
                known = self._copies.get(id(key))
                data = known.data if known is not None else _borrowed(layer, here) if alias else {}
                self._copies[id(key)] = _Copy(source, key, child, _put(data, rest, new))
                return
            if isinstance(child, SequenceNode) and here == ("depends_on",) and rest:
                if not self._agreed(child, here, path):
                    raise shared
                self._list(source, child, key).entries[rest[0]] = new if len(rest) == 1 else {rest[1]: new}
                return
            if not together or not isinstance(child, MappingNode):
                raise shared
            node = child

    def _delete(self, service: Service, path: tuple[str, ...]) -> None:
        written = [(layer, layout.lookup(layer.written.place.node, path[0])) for layer in service.layers]
        if len(path) == 1 and any(entry is not None and layout.is_alias(*entry) for _, entry in written):
            # Remove the key from every layer that has it, but not what the alias refers to.
            for layer, entry in written:
                node = layer.written.place.node
                if entry is not None and isinstance(node, MappingNode):
                    self._remove(layer.source, node, layer.written.place.key, path[0])
            return
        for layer in service.layers:
            value, above = layer.tree.get(*path), layer.tree.get(*path[:-1])
            for place in value.places if value is not None and above is not None else ():
                if place.source.foreign or not self._agreed(place.node, path, path):
                    raise CannotEdit(f"{'.'.join(path)} is shared with another service, which is not to change")
                if id(place.node) in self._edited:
                    continue
                self._edited.add(id(place.node))
                if isinstance(place.holder, MappingNode) and place.key is not None and above is not None:
                    parents = {id(each.node): each.key for each in above.places}
                    self._remove(place.source, place.holder, parents.get(id(place.holder)), place.key.value)
                elif isinstance(place.holder, SequenceNode):
                    self._edits.append(spans.remove_item(place.source, place.holder, place.node))
                else:
                    raise CannotEdit(f"{'.'.join(path)} cannot be removed")

    def _remove(self, source: Source, holder: MappingNode, parent: ScalarNode | None, name: str) -> None:
        self._removals.setdefault(id(holder), _Group(source, holder, parent)).entries[name] = DELETE


def _has(value: Value | None) -> bool:
    return value is not None and value.tag != "!reset" and not is_absent(value)


def _borrowed(layer: Layer, path: tuple[str, ...]) -> Any:
    """Return the value of an alias or a merge key in long form; an empty mapping if there is none."""
    written = layer.written.get(*path)
    if not _has(written):
        return {}
    # For a list take `tree`, which has the long form; it includes what `extends` adds, which changes nothing.
    return plain(layer.tree.get(*path) if isinstance(written, SequenceValue) else written)


def _put(data: Any, path: tuple[str, ...], new: Any) -> Any:
    """Set the value at `path`."""
    if not path:
        return new
    data[path[0]] = _put(data.get(path[0], {}), path[1:], new)
    return data


def _step(source: Source) -> str:
    """Return the indentation step of the file's services; two spaces if unknown."""
    for root in source.documents:
        entry = layout.lookup(root, "services")
        if entry is not None and isinstance(entry[1], MappingNode) and not entry[1].flow_style and entry[1].value:
            return " " * max(int(entry[1].value[0][0].start_mark.column - entry[0].start_mark.column), 1)
    return "  "
