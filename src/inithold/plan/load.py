"""Reads a plan file: YAML to values with their positions, then to a checked plan."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.errors import Fault, PlanError
from inithold.plan.convert import INVALID, convert
from inithold.plan.faults import MERGE, Faults, child
from inithold.plan.interpolate import Interpolation
from inithold.plan.model import CheckedPlan, PlanFile, PlannedStep, StepEntry
from inithold.plan.validate import REPORTED, check_plan
from inithold.process.imports import uncollected
from inithold.steps.base import Step
from inithold.text.yaml12 import compose, read_text

LARGEST = 8 * 1_048_576
MOST_VALUES = 1_000_000
"""Most values with aliases expanded; a few bytes of YAML can expand to billions."""
_NULL, _BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _NULL: lambda _: None,
    _BOOL: lambda text: text.lower() == "true",
    _INT: lambda text: int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10),
    _FLOAT: lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


def load_file(path: str) -> CheckedPlan:
    """Read and check a plan file.

    Raises:
        DocumentError: it cannot be read as YAML.
        PlanError: the plan is invalid; lists every fault.
    """
    return load_text(read_text(path, limit=LARGEST), path)


def step_ids(path: str) -> list[str]:
    """The ids of a plan file's steps, even if the plan is invalid.

    Raises:
        DocumentError: it cannot be read as YAML.
    """
    steps = child(compose(read_text(path, limit=LARGEST), file=path), "steps")
    nodes = [child(entry, "id") for entry in (steps.value if isinstance(steps, SequenceNode) else [])]
    return [node.value for node in nodes if isinstance(node, ScalarNode)]


@uncollected()
def load_text(text: str, source: str, environment: Mapping[str, str] | None = None) -> CheckedPlan:
    """Check a plan given as text; see `load_file`.

    Args:
        source: its name in errors.
        environment: variables for interpolation; None for this process's own.
    """
    root = compose(text, file=source)
    if root is None or (isinstance(root, ScalarNode) and root.tag == _NULL):
        raise PlanError([Fault("the plan is empty: expected steps:", file=source, line=1)])
    if not isinstance(root, MappingNode):
        raise PlanError([Fault("expected a mapping with steps:", file=source, line=1)])
    faults = Faults(source, root)
    try:
        values = _Values(Interpolation(environment), faults).of(root)
    except RecursionError:
        raise PlanError([Fault("it contains itself, or is nested too deeply", file=source)]) from None
    values = {key: value for key, value in values.items() if not key.startswith("x-")}
    steps = values.get("steps")
    if isinstance(steps, list):
        faults.name_steps(steps)
    plan = convert(values, PlanFile, faults.report, faults.raw)
    if plan is INVALID:
        if isinstance(steps, list):
            # Already invalid; check the steps anyway, to report all faults at once.
            entries = [_rest_of(step, index, faults) for index, step in enumerate(steps)]
            check_plan(PlanFile(steps=entries, name="-"), faults, digest="")
        raise faults.error()
    checked = check_plan(plan, faults, digest=hashlib.sha256(text.encode()).hexdigest())
    if "secret:" not in text:
        return checked
    renewable = []
    for index, planned in enumerate(checked.steps):
        fields = child(child(child(root, "steps"), index), "with")
        if fields is not None and _has_secret(fields):
            planned = _renewable(planned, fields, index, faults, environment)  # noqa: PLW2901
        renewable.append(planned)
    return msgspec.structs.replace(checked, steps=tuple(renewable))


def _renewable(
    planned: PlannedStep, fields: Node, index: int, faults: Faults, environment: Mapping[str, str] | None
) -> PlannedStep:
    """The step with a `renew` that rebuilds it when a secret file used in its fields has changed."""

    def read() -> Any:
        wrong = Faults("")
        values = _Values(Interpolation(environment), wrong).of(fields)
        return None if wrong else values

    known = read()

    def renew() -> Step | None:
        nonlocal known
        values = read()
        if values is None or values == known:
            return None
        known = values
        kind, path = type(planned.step), ("steps", index, "with")
        step = convert(values, kind, lambda *_: None, faults.raw, path=path)
        return None if step is INVALID or list(step.validate()) else step

    return msgspec.structs.replace(planned, renew=renew)


def _has_secret(node: Node) -> bool:
    if isinstance(node, ScalarNode):
        return "secret:" in node.value
    return any(_has_secret(each) for item in node.value for each in (item if isinstance(item, tuple) else (item,)))


def _rest_of(step: Any, index: int, faults: Faults) -> StepEntry:
    """The valid parts of an entry, so that its remaining faults can be found, too."""
    given = step if isinstance(step, dict) else {}
    right: dict[str, Any] = {}
    wrong: set[str] = set()
    for field in msgspec.structs.fields(StepEntry):
        if (name := field.encode_name) in given:
            path = ("steps", index, name)
            value = convert(given[name], field.type, lambda *_: None, faults.raw, path=path)
            if value is INVALID:
                wrong.add(name)
            else:
                right[field.name] = value
    step_id = given.get("id")
    right["id"] = step_id if isinstance(step_id, str) else f"#{index + 1}"
    if "uses" not in right or "with" in wrong:
        right["uses"] = REPORTED
    if "needs" in wrong:
        right["needs"] = []
    return StepEntry(**right)


class _Values:
    """Converts nodes to plain, interpolated values; reports those that cannot be converted."""

    def __init__(self, interpolation: Interpolation, faults: Faults) -> None:
        self._interpolation = interpolation
        self._faults = faults
        self._count = 0

    def of(self, node: Node) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            message = f"more than {MOST_VALUES:,} values once its aliases are followed"
            raise PlanError([Fault(message, file=self._faults.source, line=node.start_mark.line + 1)])
        if isinstance(node, SequenceNode):
            return [self.of(item) for item in node.value]
        if not isinstance(node, ScalarNode):
            return self._mapping(node)
        try:
            return _SCALARS.get(node.tag, self._interpolation.fill)(node.value)
        except ValueError as error:
            self._faults.at(node, str(error), without_value=True)
            return ""

    def _mapping(self, node: Node) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                sources = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                for source in sources:
                    if isinstance(source, MappingNode):
                        merged = {**self._mapping(source), **merged}
                    else:
                        self._faults.at(source, "<< merges mappings")
            elif not isinstance(key_node, ScalarNode):
                self._faults.at(key_node, "a key must be text")
            else:
                if key_node.value in values:
                    self._faults.at(key_node, f"the key {key_node.value!r} is given twice")
                values[key_node.value] = self.of(value_node)
        return {**merged, **values}
