"""What docs/explanation/beside-others.md says: one init wired in four ways, and a playbook beside a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from benchmarks import rivals

from e2e.conftest import Maker
from e2e.engine import Engine
from e2e.images import Images
from e2e.project import COMPOSE_2, COMPOSE_5, exports
from e2e.stack import Stack
from e2e.wirings import OPERATIONS, RECREATED, WIRINGS, Operation, perform, wire

IDLE = (1, 2, 11)
KILLED, STOPPED = 5, 6
RUNS = {
    "inithold": [1] * 10 + [2] * 2,
    "by hand": [1] * 10 + [2] * 2,
    "`pre_start`": [1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 5, 5],
}


def seconds(results: list[Operation], *indices: int) -> float:
    return sum(results[index].seconds for index in indices)


@pytest.fixture(scope="module")
def performed(
    engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[Operation]]:
    """What the operations did with a wiring, on Compose 5; each is performed once."""
    engine = replace(engine, environment={**engine.environment, **exports(COMPOSE_5)})

    @cache
    def results(name: str) -> list[Operation]:
        stack = Stack(engine, images, tmp_path_factory.mktemp("wired"))
        wire(stack, WIRINGS[name])
        try:
            return perform(stack)
        finally:
            stack.down()

    return results


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", ["inithold", *(pytest.param(name, marks=pytest.mark.rivals) for name in RUNS if name != "inithold")]
)
def test_how_often_each_runs(name: str, performed: Callable[[str], list[Operation]]) -> None:
    assert [one.runs for one in performed(name)] == RUNS[name]
    assert [one.exit for one in performed(name)] == [0] * len(OPERATIONS)


@pytest.mark.rivals
@pytest.mark.timeout(3000)
def test_a_one_shot_takes_longer_and_a_hook_does_where_it_runs(
    performed: Callable[[str], list[Operation]],
) -> None:
    results = {name: performed(name) for name in WIRINGS}
    print(rivals.operations_table(results))
    held, one_shot = results["inithold"], results["one-shot"]
    assert one_shot[-1].runs >= 8
    # In sum, since machines have bad moments.
    assert seconds(held, *IDLE, RECREATED) < seconds(one_shot, *IDLE, RECREATED)
    ran = (RECREATED, KILLED, STOPPED)
    assert seconds(held, *ran) < seconds(results["`pre_start`"], *ran)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("beside", ["", pytest.param("one-shot", marks=pytest.mark.rivals)])
def test_held_with_compose_2(beside: str, make_stack: Maker) -> None:
    make_stack.use_compose(COMPOSE_2)
    some = OPERATIONS[:5]
    held = make_stack()
    wire(held, WIRINGS["inithold"])
    by_hold = perform(held, some)
    waited = held.compose("up", "-d", "--wait", "init", check=False)
    shown = held.compose("ps", "-a", "--format", "{{.Status}}", "init").stdout
    held.down()
    assert [one.runs for one in by_hold] == [1] * 5
    assert [one.exit for one in by_hold] == [0] * 5
    assert waited.returncode == 0, waited.stderr
    assert "(healthy)" in shown
    if not beside:
        return
    one_shot = make_stack()
    wire(one_shot, WIRINGS[beside])
    by_one_shot = perform(one_shot, some)
    assert by_one_shot[-1].runs >= 4
    assert seconds(by_hold, *IDLE[:2], RECREATED) < seconds(by_one_shot, *IDLE[:2], RECREATED)


@pytest.mark.rivals
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
