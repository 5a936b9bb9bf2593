"""One pass over a plan, outside of a run's life: for `wait`, `plan`, verification and tests of kinds."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.attempt import Work
from inithold.runner.events import Span
from inithold.runner.run import Runner, new_span_id
from inithold.runner.stream import Stream


def one_pass(
    plan: CheckedPlan, steps: Iterable[PlannedStep], work: Work, stream: Stream, *, timeout: float | None = None
) -> Runner:
    """A runner for one pass: without the lock, in a trace of its own.

    Args:
        plan: whose steps these are.
        steps: those to look at, with the bounds that apply here.
        work: what is done with each.
        stream: where events go.
        timeout: seconds that the whole pass may take; None for no bound.
    """
    chosen = msgspec.structs.replace(plan, steps=tuple(steps), timeout=timeout, lock=None)
    return Runner(chosen, stream, Span(os.urandom(16).hex(), new_span_id()), work=work)
