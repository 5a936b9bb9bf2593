"""Collects a plan's faults, each with its position in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.errors import Fault, PlanError
from inithold.plan.convert import Path
from inithold.redaction.sanitize import sanitize

MERGE = "tag:yaml.org,2002:merge"


class Faults:
    """The faults found so far.

    Args:
        root: its root node; None for a plan written in Python.
    """

    def __init__(self, source: str, root: Node | None = None) -> None:
        self.source = source
        self._root = root
        self._faults: dict[str, Fault] = {}
        self._ids: list[object] = []
        self._without_value: set[int] = set()

    def name_steps(self, steps: Sequence[Any]) -> None:
        """Set the steps' ids, so that faults can name them."""
        self._ids = [step.get("id") if isinstance(step, dict) else None for step in steps]

    def report(self, path: Path, message: str) -> None:
        """Add a fault at a path."""
        of_key = message.startswith("unknown key")
        nodes = self._along(path)
        if nodes and id(nodes[-1]) in self._without_value and not of_key:
            return
        node = nodes[-1] if nodes else None
        if path and len(nodes) >= len(path) and isinstance(parent := nodes[len(path) - 1], MappingNode):
            # Point to the key, not to its value.
            node = next((key for key, _ in parent.value if key.value == path[-1]), node)
        step: object = None
        if path[:1] == ("steps",) and len(path) > 1:
            index, *rest = path[1:]
            path = tuple(rest[1:] if rest[:1] == ["with"] and len(rest) > 1 else rest)
            step = self._ids[index] if isinstance(index, int) and index < len(self._ids) else None
        # The path within the step's entry: `queues[2].name`.
        where = ""
        for part in path:
            where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
        text = f"{where}: {message}" if where and not of_key and not message.startswith(where) else message
        self._add(text, node, step if isinstance(step, str) else None)

    def at(self, node: Node, message: str, *, without_value: bool = False) -> None:
        """Add a fault at a YAML node.

        Args:
            without_value: whether the node has no usable value; then later faults at this node are dropped.
        """
        if without_value:
            self._without_value.add(id(node))
        self._add(message, node)

    def line(self, path: Path) -> int | None:
        """The 1-based line of the value at a path."""
        nodes = self._along(path)
        return nodes[-1].start_mark.line + 1 if nodes else None

    def raw(self, path: Path) -> str | None:
        """The scalar at a path as written in the file."""
        nodes = self._along(path)
        return nodes[-1].value if len(nodes) > len(path) and isinstance(nodes[-1], ScalarNode) else None

    def error(self) -> PlanError:
        """The error with all faults in file order."""
        return PlanError(sorted(self._faults.values(), key=lambda fault: (fault.line or 0, fault.column or 0)))

    def __bool__(self) -> bool:
        return bool(self._faults)

    def _along(self, path: Path) -> list[Node]:
        """The nodes from the root along a path, as far as they exist."""
        nodes = [] if self._root is None else [self._root]
        for part in path if nodes else ():
            if (following := child(nodes[-1], part)) is None:
                break
            nodes.append(following)
        return nodes

    def _add(self, message: str, node: Node | None, step: str | None = None) -> None:
        mark = None if node is None else node.start_mark
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        fault = Fault(sanitize(message), file=self.source or None, line=line, column=column, step=step)
        self._faults.setdefault(str(fault), fault)


def child(node: Node | None, part: str | int) -> Node | None:
    """The value at a key, including merged keys, or at an index; None if there is none."""
    if isinstance(node, SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None
    merged: list[Node] = []
    for key_node, value_node in node.value:
        if key_node.value == part:
            return value_node  # type: ignore[no-any-return]
        if key_node.tag == MERGE:
            merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
    return next((value for source in merged if (value := child(source, part)) is not None), None)
