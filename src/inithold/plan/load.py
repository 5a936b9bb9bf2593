"""Reads a plan file: YAML nodes to values with their positions, then to a checked plan."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.errors import Fault, PlanError
from inithold.plan.convert import INVALID, Path, convert
from inithold.plan.interpolate import Interpolation
from inithold.plan.model import CheckedPlan, PlanFile, PlannedStep, StepEntry
from inithold.plan.validate import REPORTED, Faults, Place, check_plan
from inithold.steps.base import Step
from inithold.text.yaml12 import compose, read_text

LARGEST = 8 * 1_048_576
MOST_VALUES = 1_000_000
"""Values a plan may have once its aliases are followed; few bytes of YAML can mean billions."""
_NULL, _BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_MERGE = "tag:yaml.org,2002:merge"
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _NULL: lambda _: None,
    _BOOL: lambda text: text.lower() == "true",
    _INT: lambda text: int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10),
    _FLOAT: lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


def load_file(path: str, environment: Mapping[str, str] | None = None) -> CheckedPlan:
    """Read and check a plan file.

    Args:
        path: of the file.
        environment: variables for interpolation; this process's own if None.

    Raises:
        DocumentError: it cannot be read as YAML.
        PlanError: it is not a plan; every fault that was found.
    """
    return load_text(read_text(path, limit=LARGEST), path, environment)


def step_ids(path: str) -> list[str]:
    """The ids of a plan file's steps, whatever else may be wrong with it.

    Raises:
        DocumentError: it cannot be read as YAML.
    """
    root = compose(read_text(path, limit=LARGEST), file=path)
    steps = _child(root, "steps") if root is not None else None
    entries = steps.value if isinstance(steps, SequenceNode) else []
    nodes = [_child(entry, "id") for entry in entries]
    return [node.value for node in nodes if isinstance(node, ScalarNode)]


def load_text(text: str, source: str, environment: Mapping[str, str] | None = None) -> CheckedPlan:
    """Check a plan given as text; see `load_file`.

    Args:
        text: YAML.
        source: what errors call it.
        environment: variables for interpolation.
    """
    root = compose(text, file=source)
    if root is None or (isinstance(root, ScalarNode) and root.tag == _NULL):
        raise PlanError([Fault("the plan is empty: expected steps:", file=source, line=1)])
    if not isinstance(root, MappingNode):
        raise PlanError([Fault("expected a mapping with steps:", file=source, line=1)])
    faults = Faults(source, lambda path: _position(root, path))
    try:
        values = _Values(Interpolation(environment), faults).of(root)
    except RecursionError:
        raise PlanError([Fault("it contains itself, or is nested too deeply", file=source)]) from None
    plan = _typed(values, faults, root)
    if plan is None:
        raise faults.error()
    digest = hashlib.sha256(text.encode()).hexdigest()
    checked = check_plan(plan, faults, source=source, digest=digest, raw=_raw_of(root))
    if "secret:" not in text:
        return checked
    steps = [_renewable(planned, root, index, environment) for index, planned in enumerate(checked.steps)]
    return msgspec.structs.replace(checked, steps=tuple(steps))


def _renewable(planned: PlannedStep, root: Node, index: int, environment: Mapping[str, str] | None) -> PlannedStep:
    """The step, with the means to make it again where a secret file that its fields come from has changed."""
    path: Path = ("steps", index, "with")
    entry = _child(_child(root, "steps") or root, index)
    node = None if entry is None else _child(entry, "with")
    if node is None or not any("secret:" in text for text in _texts(node)):
        return planned

    def values() -> Any:
        faults = Faults("")
        read = _Values(Interpolation(environment), faults).of(node)
        return None if faults else read

    known = values()

    def renew() -> Step | None:
        nonlocal known
        read = values()
        if read is None or read == known:
            return None
        known = read
        step = convert(read, type(planned.step), lambda *_: None, _raw_of(root), path)
        return None if step is INVALID or list(step.validate()) else step

    return msgspec.structs.replace(planned, renew=renew)


def _texts(node: Node) -> Iterator[str]:
    if isinstance(node, ScalarNode):
        yield node.value
        return
    for child in node.value:
        for each in child if isinstance(child, tuple) else (child,):
            yield from _texts(each)


def _typed(values: Any, faults: Faults, root: MappingNode) -> PlanFile | None:
    for key in [key for key in values if isinstance(key, str) and key.startswith("x-")]:
        del values[key]
    steps = values.get("steps")
    if isinstance(steps, list):
        faults.name_steps(steps)
    raw = _raw_of(root)
    found = convert(values, PlanFile, faults.report, raw)
    if found is not INVALID:
        return found  # type: ignore[no-any-return]
    if isinstance(steps, list):
        _report_rest(steps, faults, raw)
    return None


def _report_rest(steps: list[Any], faults: Faults, raw: Callable[[Path], str | None]) -> None:
    """Look at the steps of a plan that is refused already, so that all faults come at once."""
    entries = [_entry(step, index, raw) for index, step in enumerate(steps)]
    try:
        check_plan(PlanFile(steps=entries, name="-"), faults, source="", digest="", raw=raw)
    except PlanError:
        return


def _entry(step: Any, index: int, raw: Callable[[Path], str | None]) -> StepEntry:
    """The entry, or where it is wrong what is right of it: its other faults are to be found, too."""
    given = step if isinstance(step, dict) else {}
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(StepEntry):
        if (name := field.encode_name) in given:
            path: Path = ("steps", index, name)
            fields[field.name] = convert(given[name], field.type, lambda *_: None, raw, path)
    wrong = {name for name, value in fields.items() if value is INVALID}
    right = {name: value for name, value in fields.items() if name not in wrong}
    step_id = given.get("id")
    right["id"] = step_id if isinstance(step_id, str) else f"#{index + 1}"
    if "uses" not in right or "with_" in wrong:
        right["uses"] = REPORTED
    if "needs" in wrong:
        right["needs"] = []
    return StepEntry(**right)


class _Values:
    """Makes plain values of nodes, filled in; reports what cannot be."""

    def __init__(self, interpolation: Interpolation, faults: Faults) -> None:
        self._interpolation = interpolation
        self._faults = faults
        self._count = 0

    def of(self, node: Node) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            message = f"more than {MOST_VALUES:,} values once its aliases are followed"
            raise PlanError([Fault(message, file=self._faults.source, line=node.start_mark.line + 1)])
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if isinstance(node, SequenceNode):
            return [self.of(item) for item in node.value]
        return self._mapping(node)

    def _scalar(self, node: ScalarNode) -> Any:
        read = _SCALARS.get(node.tag)
        try:
            return read(node.value) if read else self._interpolation.fill(node.value)
        except ValueError as error:
            self._faults.spoiled(node, str(error))
            return ""

    def _mapping(self, node: Node) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self._merged(value_node), **merged}
                continue
            if not isinstance(key_node, ScalarNode):
                self._faults.at(key_node, "expected a text as the key")
                continue
            if key_node.value in values:
                self._faults.at(key_node, f"the key {key_node.value!r} is there twice")
            values[key_node.value] = self.of(value_node)
        return {**merged, **values} if merged else values

    def _merged(self, node: Node) -> dict[str, Any]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                self._faults.at(source, "<< merges mappings")
                continue
            merged = {**self._mapping(source), **merged}
        return merged


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == part:
                return value_node  # type: ignore[no-any-return]
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                for source in sources:
                    if (found := _child(source, part)) is not None:
                        return found
    return None


def _position(root: Node, path: Path) -> Place:
    """Where the value at a path stands, or the nearest thing around it that is there."""
    node = root
    for part in path:
        child = _child(node, part)
        if child is None:
            break
        node = child
    mark = (_key_node(root, path) or node).start_mark
    return Place(mark.line + 1, mark.column + 1, node)


def _key_node(root: Node, path: Path) -> Node | None:
    """The key of the last part of a path: where a reader looks for an unknown one."""
    node: Node | None = root
    for part in path[:-1]:
        node = _child(node, part) if node is not None else None
    if not path or not isinstance(node, MappingNode):
        return None
    return next((key for key, _ in node.value if key.value == path[-1]), None)


def _raw_of(root: Node) -> Callable[[Path], str | None]:
    def raw(path: Path) -> str | None:
        node: Node | None = root
        for part in path:
            node = _child(node, part) if node is not None else None
        return node.value if isinstance(node, ScalarNode) else None

    return raw
