"""The order in which steps can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec

from inithold.plan.model import PlannedStep


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Sort ids topologically, keeping the written order otherwise."""
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
    """Some of a plan's steps, without needs that are not among them, for passes that only check.

    Such a pass does not need the order through the steps left out: it can check them all at once.
    """
    kept = {planned.id for planned in steps}
    return tuple(
        msgspec.structs.replace(planned, needs=tuple(need for need in planned.needs if need in kept))
        for planned in steps
    )
