"""A repair: a part of a plan is run again, beside the run that made the environment ready.

The marker's promise is that the whole environment is ready, and a part cannot give it: a repair holds nothing,
publishes nothing, and leaves the marker, the record and the hold of that run as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from inithold.errors import UsageError
from inithold.plan.model import CheckedPlan
from inithold.plan.order import in_order
from inithold.text.suggest import nearest


class Repair(NamedTuple):
    """Which steps are to be run.

    Attributes:
        only: ids of these alone.
        start: or of the one from which on: it and every step that depends on it.
    """

    only: tuple[str, ...] = ()
    start: str | None = None

    @classmethod
    def of(cls, only: Sequence[str], start: str | None) -> Repair:
        """What the options `--only` and `--from` say.

        Raises:
            UsageError: both are given.
        """
        if only and start is not None:
            raise UsageError("give either --only or --from, not both")
        return cls(tuple(dict.fromkeys(only)), start)

    def __bool__(self) -> bool:
        return bool(self.only) or self.start is not None

    def __str__(self) -> str:
        """What is run, for people: `only topology, seed`, `from migrate`; empty for the whole plan."""
        if self.start is not None:
            return f"from {self.start}"
        return f"only {', '.join(self.only)}" if self.only else ""

    def of_plan(self, plan: CheckedPlan) -> CheckedPlan:
        """The plan of the chosen steps alone, in the plan's order; what they need besides counts as met.

        A named step that fails has failed the repair, whatever its `on_failure` says.

        Raises:
            UsageError: a named step is not in the plan, or its `when` is false.
        """
        named = self.only or ((self.start,) if self.start is not None else ())
        self._refuse_unknown(plan, named)
        needs = {planned.id: planned.needs for planned in plan.steps}
        chosen = set(self.only) or _with_dependents(needs, *named)
        among = _needs_among(needs, chosen)
        steps = tuple(
            msgspec.structs.replace(
                planned,
                needs=among[planned.id],
                on_failure="fail" if planned.id in named else planned.on_failure,
            )
            for planned in plan.steps
            if planned.id in chosen
        )
        return msgspec.structs.replace(plan, steps=steps)

    def _refuse_unknown(self, plan: CheckedPlan, named: Sequence[str]) -> None:
        option = "--only" if self.only else "--from"
        enabled = {planned.id: planned.enabled for planned in plan.steps}
        for step_id in named:
            if step_id not in enabled:
                raise UsageError(f"{option}: there is no step {step_id!r}{nearest(step_id, enabled)}")
            if not enabled[step_id]:
                raise UsageError(
                    f"{option}: the when of step {step_id!r} is false, so nothing would be done",
                    hint="set what its when reads, for this command alone",
                )


def _with_dependents(needs: Mapping[str, Sequence[str]], start: str) -> set[str]:
    chosen = {start}
    for step_id in in_order(needs):
        if not chosen.isdisjoint(needs[step_id]):
            chosen.add(step_id)
    return chosen


def _needs_among(needs: Mapping[str, Sequence[str]], chosen: set[str]) -> dict[str, tuple[str, ...]]:
    """Of each step, the nearest chosen ones before it: the order outlives the steps between that are left out."""
    before: dict[str, tuple[str, ...]] = {}
    for step_id in in_order(needs):
        behind = ((need,) if need in chosen else before[need] for need in needs[step_id])
        before[step_id] = tuple(dict.fromkeys(one for several in behind for one in several))
    return before
