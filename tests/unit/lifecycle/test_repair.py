"""Which steps a repair runs, and in which order."""

from __future__ import annotations

import pytest

from inithold.errors import UsageError
from inithold.lifecycle.repair import part_of, repair_name
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.record.files import of_repairs
from inithold.steps.file import Ready


def plan(**needs: str) -> CheckedPlan:
    steps = tuple(PlannedStep(name, Ready(path="/"), tuple(words.split())) for name, words in needs.items())
    return CheckedPlan("test", steps, "0" * 64, lock="postgresql://db/x", timeout=60.0)


def narrowed(whole: CheckedPlan, *only: str, start: str | None = None) -> dict[str, tuple[str, ...]]:
    return {planned.id: planned.needs for planned in part_of(whole, only, start).steps}


DIAMOND = {"top": "", "left": "top", "right": "top", "end": "left right", "other": ""}


def test_needs_that_are_not_chosen_count_as_met() -> None:
    assert narrowed(plan(**DIAMOND), "end") == {"end": ()}
    assert narrowed(plan(**DIAMOND), start="left") == {"left": (), "end": ("left",)}


def test_the_order_outlives_what_is_left_out_between() -> None:
    assert narrowed(plan(**DIAMOND), "end", "top") == {"top": (), "end": ("top",)}
    chain = {f"s{number}": f"s{number - 1}" if number else "" for number in range(3000)}
    assert narrowed(plan(**chain), "s2999", "s1500", "s0") == {"s0": (), "s1500": ("s0",), "s2999": ("s1500",)}


def test_dependents_that_stand_above_in_the_plan_are_found() -> None:
    whole = plan(late="middle", middle="early", early="", other="")
    assert narrowed(whole, start="early") == {"late": ("middle",), "middle": ("early",), "early": ()}


def test_the_rest_of_the_plan_stays() -> None:
    part = part_of(plan(**DIAMOND), ["top"], None)
    assert (part.name, part.lock, part.timeout, part.digest) == ("test", "postgresql://db/x", 60.0, "0" * 64)


@pytest.mark.parametrize(
    ("only", "start", "text"),
    [([], None, ""), (["a", "b", "a"], None, "only a, b"), ([], "a", "from a"), ([""], None, "only ")],
)
def test_what_it_is_called(only: list[str], start: str | None, text: str) -> None:
    assert repair_name(only, start) == text


def test_refused() -> None:
    with pytest.raises(UsageError, match="not both"):
        repair_name(["a"], "b")
    with pytest.raises(UsageError, match="--from: there is no step 'tops'; did you mean 'top'"):
        part_of(plan(**DIAMOND), [], "tops")


def test_where_its_record_is() -> None:
    assert of_repairs("/tmp/m.record.json") == "/tmp/m.record.repair.json"
    assert of_repairs("/run.d/record") == "/run.d/record.repair"
