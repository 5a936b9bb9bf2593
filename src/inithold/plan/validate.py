"""Validates what types cannot express: ids, needs, kinds, fields, the lock, extras."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

from inithold.plan.convert import INVALID, convert
from inithold.plan.faults import Faults
from inithold.plan.model import CheckedPlan, PlanFile, PlannedStep, StepEntry
from inithold.process import extras
from inithold.steps.base import Step
from inithold.steps.registry import BrokenKind, UnknownKind, load, names
from inithold.text.suggest import nearest

REPORTED = ""
"""Placeholder kind for an entry whose faults are already reported."""
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "")


def check_plan(plan: PlanFile, faults: Faults, *, digest: str) -> CheckedPlan:
    """Resolve names, fields and needs.

    Args:
        faults: collects the faults, and may already have some.

    Raises:
        PlanError: there are faults.
    """
    if not plan.steps:
        faults.report(("steps",), "the plan has no steps")
    steps: list[PlannedStep] = []
    for index, entry in enumerate(plan.steps):
        step = _step(entry, index, faults)
        above = [plan.steps[index - 1].id] if index else []
        when = "" if entry.when is None else str(entry.when).strip().lower()
        if when not in _TRUE + _FALSE:
            faults.report(("steps", index, "when"), "expected true, 1, yes, on, or false, 0, no, off, or empty")
        steps.append(
            PlannedStep(
                id=entry.id,
                step=step or Step(),
                needs=tuple(above if entry.needs is None else entry.needs),
                enabled=when in _TRUE,
                timeout=entry.timeout if entry.timeout is not None or step is None else step.default_timeout,
                retry=entry.retry,
                on_failure=entry.on_failure,
                line=faults.line(("steps", index)),
            )
        )
    checked = CheckedPlan(
        name=plan.name or "environment",
        steps=tuple(steps),
        digest=digest,
        source=faults.source,
        lock=plan.lock or None,
        timeout=plan.timeout,
        hold=plan.hold,
    )
    return finish(checked, faults, named=plan.name is not None)


def _step(entry: StepEntry, index: int, faults: Faults) -> Step | None:
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
    step = convert(entry.with_, kind, faults.report, faults.raw, path=("steps", index, "with"))
    return None if step is INVALID else step


def finish(plan: CheckedPlan, faults: Faults, *, named: bool) -> CheckedPlan:
    """The checks that plan files and plans written in Python share.

    Args:
        faults: collects the faults, and may already have some.
        named: whether the plan sets its name.

    Raises:
        PlanError: there are faults.
    """
    first: dict[str, PlannedStep] = {}
    for index, planned in enumerate(plan.steps):
        earlier = first.setdefault(planned.id, planned)
        if earlier is not planned:
            where = f" in line {earlier.line}" if earlier.line else ""
            faults.report(("steps", index, "id"), f"there is another step {planned.id!r}{where}")
    for index, planned in enumerate(plan.steps):
        for number, need in enumerate(planned.needs):
            if need not in first:
                message = f"there is no step {need!r}{nearest(need, first)}"
                faults.report(("steps", index, "needs", number), message)
    # With duplicate ids, needs are ambiguous.
    if len(first) == len(plan.steps):
        try:
            TopologicalSorter({planned.id: planned.needs for planned in plan.steps}).prepare()
        except CycleError as error:
            # graphlib lists each step before those that need it, and repeats the first at the end.
            circle = error.args[1][::-1]
            index = list(first).index(circle[0])
            message = f"circular needs: {' -> '.join(circle)}"
            faults.report(("steps", index, "needs"), message)
    for index, planned in enumerate(plan.steps):
        for field, message in planned.step.validate():
            # `queues[2].name` is the name of the third queue.
            parts = (int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", field))
            faults.report(("steps", index, "with", *parts), message)
    if plan.lock is not None:
        from inithold.steps.address import parse  # noqa: PLC0415 - few plans have a lock
        from inithold.steps.postgres.conninfo import faults as of_parameters  # noqa: PLC0415 - as above

        try:
            for fault in of_parameters(parse(plan.lock, ["postgresql"])):
                faults.report(("lock",), f"lock: {fault}")
        except ValueError as error:
            faults.report(("lock",), f"lock {error}")
        if plan.lock and not named:
            faults.report(("lock",), "a plan with a lock needs a name: the lock is named after it")
    if not faults:
        _check_extras(plan, faults)
    if faults:
        raise faults.error()
    return plan


def _check_extras(plan: CheckedPlan, faults: Faults) -> None:
    missing: dict[str, list[int]] = {}
    for index, planned in enumerate(plan.steps):
        for extra in planned.step.extras() if planned.enabled else ():
            if not extras.installed(extra):
                missing.setdefault(extra, []).append(index)
    command = extras.pip_command(missing)
    for extra, indexes in missing.items():
        kinds = dict.fromkeys(plan.steps[index].kind for index in indexes)
        message = f"{', '.join(kinds)} needs the extra {extra!r}, which is not installed: {command}"
        faults.report(("steps", indexes[0], "uses"), message)
    if plan.lock and not extras.installed("postgres"):
        faults.report(("lock",), f"lock needs the extra 'postgres', which is not installed: {command}")
