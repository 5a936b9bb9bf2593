"""The order that needs impose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec

from inithold.plan.model import PlannedStep


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
