"""What docs/explanation/beside-others.md says: one init wired in four ways, and a playbook beside a plan."""

from __future__ import annotations

import pytest
from benchmarks import rivals

from e2e.conftest import Maker
from e2e.project import COMPOSE_2, COMPOSE_5
from e2e.wirings import NOTHING_TO_DO, OPERATIONS, RECREATED, WIRINGS, Operation, perform, wire

IDLE = (1, 2, 11)
RUNS = {
    "inithold": [1] * 10 + [2] * 2,
    "by hand": [1] * 10 + [2] * 2,
    "`pre_start`": [1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 5, 5],
}


def seconds(results: list[Operation], *indices: int) -> float:
    return sum(results[index].seconds for index in indices)


@pytest.mark.timeout(900)
def test_one_init_wired_in_four_ways(make_stack: Maker) -> None:
    make_stack.use_compose(COMPOSE_5)
    results: dict[str, list[Operation]] = {}
    for name, wiring in WIRINGS.items():
        stack = make_stack()
        wire(stack, wiring)
        results[name] = perform(stack)
        stack.down()
    print(rivals.operations_table(results))
    for name, runs in RUNS.items():
        assert [one.runs for one in results[name]] == runs, name
        assert [one.exit for one in results[name]] == [0] * len(OPERATIONS), name
    held, one_shot = results["inithold"], results["one-shot"]
    assert one_shot[-1].runs >= 8
    # In sum, since machines have bad moments.
    assert seconds(held, *IDLE, RECREATED) < seconds(one_shot, *IDLE, RECREATED)
    assert seconds(held, RECREATED) < seconds(results["`pre_start`"], RECREATED)


@pytest.mark.timeout(600)
def test_held_and_one_shot_with_compose_2(make_stack: Maker) -> None:
    make_stack.use_compose(COMPOSE_2)
    held, one_shot = make_stack(), make_stack()
    wire(held, WIRINGS["inithold"])
    by_hold = perform(held)
    waited = held.compose("up", "-d", "--wait", "init", check=False)
    shown = held.compose("ps", "-a", "--format", "{{.Status}}", "init").stdout
    held.down()
    assert [one.runs for one in by_hold] == RUNS["inithold"]
    assert [one.exit for one in by_hold] == [0] * len(OPERATIONS)
    assert waited.returncode == 0, waited.stderr
    assert "(healthy)" in shown

    wire(one_shot, WIRINGS["one-shot"])
    by_one_shot = perform(one_shot)
    waited = one_shot.compose("up", "-d", "--wait", "init", check=False)
    shown = one_shot.compose("ps", "-a", "--format", "{{.Status}}", "init").stdout
    assert by_one_shot[-1].runs >= 8
    assert seconds(by_hold, NOTHING_TO_DO, *IDLE) < seconds(by_one_shot, NOTHING_TO_DO, *IDLE)
    # Compose 2.40 forgives an ended container that others wait for; asked for init itself it does not.
    assert waited.returncode != 0
    assert "Exited (0)" in shown


@pytest.mark.timeout(600)
def test_a_plan_and_a_playbook() -> None:
    found = rivals.previews()
    print(rivals.previews_table(found))
    plan, playbook = found["an empty server"]
    assert (plan.exit, len(plan.changes)) == (0, 5)
    assert playbook.exit == 2
    assert "Role readers does not exist" in playbook.output
    plan, playbook = found["all in place"]
    assert (plan.exit, plan.changes, playbook.exit, playbook.changed) == (0, [], 0, [])
    assert playbook.processor_time > 5 * plan.processor_time
    plan, playbook = found["after drift by hand"]
    assert plan.changes == ["~ role game_app: login no -> yes", "+ grant usage on schema public to game_app"]
    assert playbook.changed == ["role game_app", "grants on the schema"]
    assert "NOLOGIN" not in playbook.output
