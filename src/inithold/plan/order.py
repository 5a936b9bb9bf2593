"""The order that needs impose, and the circles that make it impossible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import msgspec

from inithold.plan.model import PlannedStep


def cycle(needs: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Find a circle.

    Args:
        needs: of each step, the ids it needs.

    Returns:
        the ids along it, the first again at the end, each needing the next; None where there is none.
    """
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        # graphlib lists each before those that need it.
        return list(reversed(error.args[1]))
    return None


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Ids so that each comes after those it needs, otherwise as written."""
    written = {step: number for number, step in enumerate(needs)}
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda step: written[step])
        ordered += ready
        sorter.done(*ready)
    return ordered


def without_others(steps: Sequence[PlannedStep]) -> tuple[PlannedStep, ...]:
    """Some steps of a plan, each needing of these alone, for those who only look.

    Without the steps between, the order would hold back what could be seen at once; and where everything has to
    hold, an order has no use but less noise.
    """
    kept = {planned.id for planned in steps}
    return tuple(
        msgspec.structs.replace(planned, needs=tuple(need for need in planned.needs if need in kept))
        for planned in steps
    )
