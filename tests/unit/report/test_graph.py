"""The layout of the dependency graph."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inithold.report.graph import BOXES, Direction, Graph, layout

NEEDS = {
    "database": [],
    "migrate": ["database"],
    "schema": ["migrate"],
    "broker": [],
    "topology": ["broker"],
    "seed": ["schema", "topology", "database"],
}


def apart(graph: Graph) -> bool:
    return all(
        abs(one.x - two.x) >= graph.box[0] or abs(one.y - two.y) >= graph.box[1]
        for one, two in combinations(graph.nodes, 2)
    )


@pytest.mark.parametrize("direction", ["across", "down"])
def test_a_step_is_drawn_behind_all_it_needs(direction: Direction) -> None:
    graph = layout(NEEDS, direction)
    main = {node.id: node.x if direction == "across" else node.y for node in graph.nodes}
    assert all(main[need] < main[step] for step, needs in NEEDS.items() for need in needs)
    assert {(edge.source, edge.target) for edge in graph.edges} == {
        (need, step) for step, needs in NEEDS.items() for need in needs
    }
    assert apart(graph)


def test_a_long_edge_runs_past_the_boxes_between() -> None:
    graph = layout({"a": [], "b": ["a"], "c": ["b", "a"]}, "across")
    box = next(node for node in graph.nodes if node.id == "b")
    (long,) = (edge for edge in graph.edges if (edge.source, edge.target) == ("a", "c"))
    # The straight part of the line, where it passes the layer of b.
    y = float(long.path.partition("L")[2].partition("C")[0].split(",")[1])
    assert not box.y <= y <= box.y + BOXES["across"][1]


def test_unknown_needs_and_circles_of_a_record_made_by_hand_are_drawn_all_the_same() -> None:
    graph = layout({"a": ["b", "nobody", "a"], "b": ["a"], "c": []}, "down")
    assert len(graph.nodes) == 3
    assert apart(graph)


def test_nothing_is_drawn_of_no_steps() -> None:
    assert layout({}, "across").nodes == ()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=25),
    st.sampled_from(["across", "down"]),
)
def test_boxes_are_apart_and_inside(needs: list[list[int]], direction: Direction) -> None:
    plan = {str(step): [str(need) for need in wanted if need < step] for step, wanted in enumerate(needs)}
    graph = layout(plan, direction)
    assert apart(graph)
    for node in graph.nodes:
        assert 0 <= node.x <= graph.width - graph.box[0]
        assert 0 <= node.y <= graph.height - graph.box[1]


def test_a_thousand_steps_that_all_need_the_first_are_laid_out() -> None:
    graph = layout({str(step): [str(step - 1), "0"] if step > 1 else ["0"] * step for step in range(1000)}, "down")
    assert len(graph.nodes) == 1000
