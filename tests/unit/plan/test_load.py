"""Reading a plan pauses garbage collection, and leaves it as it was."""

from __future__ import annotations

import gc

import pytest

from inithold.errors import PlanError
from inithold.plan.load import load_text

PLAN = "version: 1\nname: x\nsteps:\n  - {id: a, uses: file.ready, with: {path: /}}\n"


def test_collecting_goes_on_after_a_plan_and_after_a_fault() -> None:
    load_text(PLAN, "plan.yaml")
    assert gc.isenabled()
    with pytest.raises(PlanError):
        load_text("steps: 1", "plan.yaml")
    assert gc.isenabled()


def test_collecting_stays_off_if_it_was() -> None:
    gc.disable()
    try:
        load_text(PLAN, "plan.yaml")
        assert not gc.isenabled()
    finally:
        gc.enable()
