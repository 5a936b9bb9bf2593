"""What must be true of a plan beyond its types: a list of checks, each with the place it speaks of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from yaml.nodes import Node

from inithold.errors import Fault, PlanError
from inithold.plan.convert import INVALID, Path, convert
from inithold.plan.model import CheckedPlan, PlanFile, PlannedStep, StepEntry
from inithold.plan.order import cycle
from inithold.process import extras
from inithold.redaction.sanitize import sanitize
from inithold.steps.base import Step
from inithold.steps.registry import BrokenKind, UnknownKind, load, names
from inithold.text.suggest import nearest

REPORTED = ""
"""The kind of an entry whose faults have been reported already."""
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "")


class Place(NamedTuple):
    """Where something stands in the file.

    Attributes:
        line: 1-based.
        column: 1-based.
        node: the value there.
    """

    line: int
    column: int
    node: Node


class Faults:
    """Collects what is wrong with a plan.

    Args:
        source: name of the file.
        position: finds the place of a path in it; None for a plan written in Python.
    """

    def __init__(self, source: str, position: Callable[[Path], Place] | None = None) -> None:
        self.source = source
        self._position = position
        self._found: list[Fault] = []
        self._ids: list[str | None] = []
        self._spoiled: set[int] = set()

    def name_steps(self, steps: Sequence[Any]) -> None:
        """Learn the ids of the steps, so that faults can name them."""
        self._ids = [step.get("id") if isinstance(step, dict) else None for step in steps]

    def report(self, path: Path, message: str) -> None:
        """Add a fault at a path."""
        place = self._position(path) if self._position else None
        of_key = message.startswith("unknown key")
        if place is not None and id(place.node) in self._spoiled and not of_key:
            return
        step = None
        if len(path) > 1 and path[0] == "steps" and isinstance(path[1], int) and path[1] < len(self._ids):
            step = self._ids[path[1]]
        where = _field(path)
        text = f"{where}: {message}" if where and not of_key and not message.startswith(where) else message
        self._add(Fault(sanitize(text), file=self.source or None, step=_text(step), **_lines(place)))

    def at(self, node: Node, message: str) -> None:
        """Add a fault at a YAML node."""
        mark = node.start_mark
        self._add(Fault(sanitize(message), file=self.source, line=mark.line + 1, column=mark.column + 1))

    def spoiled(self, node: Node, message: str) -> None:
        """Add a fault at a scalar that has no value now: what follows from that is not reported."""
        self._spoiled.add(id(node))
        self.at(node, message)

    def line(self, path: Path) -> int | None:
        """The line of what stands at a path."""
        return self._position(path).line if self._position else None

    def _add(self, fault: Fault) -> None:
        if str(fault) not in map(str, self._found):
            self._found.append(fault)

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> PlanError:
        """The error that carries them, in file order."""
        return PlanError(sorted(self._found, key=lambda fault: (fault.line or 0, fault.column or 0)))


def check_plan(
    plan: PlanFile, faults: Faults, *, source: str, digest: str, raw: Callable[[Path], str | None] = lambda _: None
) -> CheckedPlan:
    """Resolve names, fields and needs.

    Args:
        plan: typed, but not yet checked.
        faults: takes what is wrong; what is in it already counts.
        source: the file.
        digest: of the file.
        raw: the scalar at a path as written.

    Raises:
        PlanError: anything is wrong.
    """
    if not plan.steps:
        faults.report(("steps",), "the plan has no steps")
    steps = [_step(entry, index, faults, raw) for index, entry in enumerate(plan.steps)]
    planned = _planned(plan.steps, steps, faults)
    return finish(
        CheckedPlan(
            name=plan.name or "environment",
            steps=tuple(planned),
            digest=digest,
            source=source,
            lock=plan.lock or None,
            timeout=plan.timeout,
            hold=plan.hold,
        ),
        faults,
        named=plan.name is not None,
    )


def finish(plan: CheckedPlan, faults: Faults, *, named: bool) -> CheckedPlan:
    """The checks that a plan written in Python needs, too.

    Args:
        plan: with its steps resolved.
        faults: takes what is wrong; what is in it already counts.
        named: whether the plan gives its name.

    Raises:
        PlanError: anything is wrong.
    """
    for check in (_unique_ids, _known_needs, _no_cycle, _fields_fit, _lock_fits):
        check(plan, faults)
    if plan.lock and not named:
        faults.report(("lock",), "a plan with a lock needs a name: the lock is named after it")
    if not faults:
        _extras_installed(plan, faults)
    if faults:
        raise faults.error()
    return plan


def _step(entry: StepEntry, index: int, faults: Faults, raw: Callable[[Path], str | None]) -> Step | None:
    if entry.uses == REPORTED:
        return None
    try:
        kind = load(entry.uses)
    except BrokenKind as error:
        faults.report(("steps", index, "uses"), str(error))
        return None
    except UnknownKind:
        faults.report(("steps", index, "uses"), f"unknown kind {entry.uses!r}{nearest(entry.uses, names())}")
        return None
    path: Path = ("steps", index, "with")
    found = convert(entry.with_, kind, faults.report, raw, path)
    return None if found is INVALID else found


def _planned(entries: Sequence[StepEntry], steps: Sequence[Step | None], faults: Faults) -> list[PlannedStep]:
    planned: list[PlannedStep] = []
    for index, (entry, step) in enumerate(zip(entries, steps, strict=True)):
        above = [entries[index - 1].id] if index else []
        planned.append(
            PlannedStep(
                id=entry.id,
                step=step if step is not None else Step(),
                needs=tuple(above if entry.needs is None else entry.needs),
                enabled=_when(entry.when, index, faults),
                timeout=step_timeout(entry.timeout, step),
                retry=entry.retry,
                on_failure=entry.on_failure,
                line=faults.line(("steps", index)),
            )
        )
    return planned


def step_timeout(given: float | None, step: Step | None) -> float | None:
    """Seconds a step may take: what the plan says, else what its kind says."""
    return given if given is not None or step is None else step.default_timeout


def _when(value: str | bool | int | None, index: int, faults: Faults) -> bool:
    if isinstance(value, bool):
        return value
    text = "" if value is None else str(value).strip().lower()
    if text in _TRUE:
        return True
    if text not in _FALSE:
        faults.report(("steps", index, "when"), "expected true, 1, yes, on, or false, 0, no, off, or empty")
    return False


def _unique_ids(plan: CheckedPlan, faults: Faults) -> None:
    first: dict[str, PlannedStep] = {}
    for index, planned in enumerate(plan.steps):
        earlier = first.setdefault(planned.id, planned)
        if earlier is not planned:
            where = f" in line {earlier.line}" if earlier.line else ""
            faults.report(("steps", index, "id"), f"there is another step {planned.id!r}{where}")


def _known_needs(plan: CheckedPlan, faults: Faults) -> None:
    ids = {planned.id: None for planned in plan.steps}
    for index, planned in enumerate(plan.steps):
        for number, need in enumerate(planned.needs):
            if need not in ids:
                message = f"there is no step {need!r}{nearest(need, ids)}"
                faults.report(("steps", index, "needs", number), message)


def _no_cycle(plan: CheckedPlan, faults: Faults) -> None:
    needs = {planned.id: planned.needs for planned in plan.steps}
    # With two steps of one name, which needs which is anybody's guess.
    found = cycle(needs) if len(needs) == len(plan.steps) else None
    if found:
        index = next(number for number, planned in enumerate(plan.steps) if planned.id == found[0])
        faults.report(("steps", index, "needs"), f"steps need one another in a circle: {' -> '.join(found)}")


def _fields_fit(plan: CheckedPlan, faults: Faults) -> None:
    for index, planned in enumerate(plan.steps):
        for field, message in planned.step.validate():
            faults.report(("steps", index, "with", *_parts(field)), message)


def _parts(field: str) -> Path:
    """The path to a field: `queues[2].name` is the name of the third queue."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", field))


def _lock_fits(plan: CheckedPlan, faults: Faults) -> None:
    if plan.lock is None:
        return
    from inithold.steps.address import parse  # noqa: PLC0415 - few plans have a lock
    from inithold.steps.postgres.conninfo import faults as of_parameters  # noqa: PLC0415 - few plans have a lock

    try:
        address = parse(plan.lock, ["postgresql"])
    except ValueError as error:
        faults.report(("lock",), f"lock {error}")
        return
    for fault in of_parameters(address):
        faults.report(("lock",), f"lock: {fault}")


def _extras_installed(plan: CheckedPlan, faults: Faults) -> None:
    missing: dict[str, list[int]] = {}
    for index, planned in enumerate(plan.steps):
        for extra in planned.step.extras() if planned.enabled else ():
            if not extras.installed(extra):
                missing.setdefault(extra, []).append(index)
    command = extras.pip_command(missing)
    for extra, indexes in missing.items():
        kinds = _unique(plan.steps[index].kind for index in indexes)
        message = f"{', '.join(kinds)} needs the extra {extra!r}, which is not installed: {command}"
        faults.report(("steps", indexes[0], "uses"), message)
    if plan.lock and not extras.installed("postgres"):
        faults.report(("lock",), f"lock needs the extra 'postgres', which is not installed: {command}")


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _field(path: Path) -> str:
    """The part of a path that a reader of a step's entry needs: `queues[2].name`."""
    inner = path[2:] if path[:1] == ("steps",) and len(path) > 1 else path
    inner = inner[1:] if inner[:1] == ("with",) and len(inner) > 1 else inner
    text = ""
    for part in inner:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _lines(place: Place | None) -> dict[str, int]:
    return {} if place is None else {"line": place.line, "column": place.column}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
