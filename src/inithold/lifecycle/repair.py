"""A repair: runs part of a plan again, beside the run that made the environment ready.

The marker says that the whole environment is ready, which a part cannot know. So a repair does not hold, publishes
nothing, and leaves the marker, the record and the hold of that run alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inithold.errors import UsageError
from inithold.plan.model import CheckedPlan
from inithold.plan.order import in_order
from inithold.text.suggest import nearest


def repair_name(only: Sequence[str], start: str | None) -> str:
    """Name the repair, for people: `only topology, seed`, `from migrate`; empty for the whole plan.

    Raises:
        UsageError: both are given.
    """
    if only and start is not None:
        raise UsageError("give either --only or --from, not both")
    if start is not None:
        return f"from {start}"
    return f"only {', '.join(dict.fromkeys(only))}" if only else ""


def part_of(plan: CheckedPlan, only: Sequence[str], start: str | None) -> CheckedPlan:
    """The plan reduced to some of its steps; steps left out count as met.

    If a named step fails, so does the repair, whatever its `on_failure` says.

    Args:
        only: the ids of the steps to keep.
        start: or: keep this step and every step that depends on it.

    Raises:
        UsageError: a named step is not in the plan, or its `when` is false.
    """
    option, named = ("--from", [start]) if start is not None else ("--only", list(only))
    enabled = {planned.id: planned.enabled for planned in plan.steps}
    for step_id in named:
        if step_id not in enabled:
            raise UsageError(f"{option}: there is no step {step_id!r}{nearest(step_id, enabled)}")
        if not enabled[step_id]:
            raise UsageError(
                f"{option}: the when of step {step_id!r} is false, so it would not run",
                hint="set what its when reads, for this command alone",
            )
    needs = {planned.id: planned.needs for planned in plan.steps}
    chosen = set(named)
    nearest_chosen: dict[str, tuple[str, ...]] = {}
    for step_id in in_order(needs):
        if start is not None and not chosen.isdisjoint(needs[step_id]):
            chosen.add(step_id)
        # Keep the order between two chosen steps even if the steps between them are left out.
        before = ((need,) if need in chosen else nearest_chosen[need] for need in needs[step_id])
        nearest_chosen[step_id] = tuple(dict.fromkeys(one for several in before for one in several))
    steps = tuple(
        msgspec.structs.replace(
            planned,
            needs=nearest_chosen[planned.id],
            on_failure="fail" if planned.id in named else planned.on_failure,
        )
        for planned in plan.steps
        if planned.id in chosen
    )
    return msgspec.structs.replace(plan, steps=steps)
