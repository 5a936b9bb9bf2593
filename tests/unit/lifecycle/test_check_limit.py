"""How long a check of a hold may take: its longest chain of needs, and a bound for all."""

from __future__ import annotations

import pytest

from inithold.lifecycle.verify import check_limit
from inithold.plan.model import CheckedPlan, Hold, PlannedStep
from inithold.steps.command import Run
from inithold.steps.file import Ready
from inithold.text.duration import Duration


def step(name: str, *needs: str, timeout: float | None = None) -> PlannedStep:
    return PlannedStep(name, Ready(path="/"), needs=needs, timeout=timeout)


def limit(*steps: PlannedStep, grace: float = 0.0) -> float:
    return check_limit(CheckedPlan("limits", steps, "0" * 64, hold=Hold(grace=Duration(grace))))


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 35.0), (2.0, 7.0), (600.0, 35.0)], ids=["none", "short", "long"]
)
def test_a_step_has_the_smaller_of_its_timeout_and_30_s(timeout: float | None, seconds: float) -> None:
    assert limit(step("one", timeout=timeout)) == seconds


def test_the_grace_is_added_to_each() -> None:
    assert limit(step("one", timeout=2.0), step("two", "one", timeout=3.0), grace=10.0) == 30.0


def test_the_longest_chain_counts_and_not_the_number_of_steps() -> None:
    beside = [step(f"s{number}", timeout=4.0) for number in range(50)]
    assert limit(*beside, step("last", "s3", timeout=1.0)) == 10.0


def test_what_cannot_be_checked_takes_no_time_and_orders_nothing() -> None:
    unchecked = PlannedStep("seed", Run(run="true"), needs=("one",), timeout=20.0)
    assert limit(step("one", timeout=2.0), unchecked, step("two", "seed", timeout=3.0)) == 8.0


def test_five_minutes_at_most() -> None:
    chain = [step(f"s{number}", *([f"s{number - 1}"] if number else [])) for number in range(30)]
    assert limit(*chain) == 300.0
