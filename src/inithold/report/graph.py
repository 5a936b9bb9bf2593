"""The dependency graph laid out by layers: a step stands one layer after the last of those it needs.

Within a layer steps are ordered by the mean place of their neighbours (the barycentre method of Sugiyama, Tagawa
and Toda, 1981), and an edge that spans several layers keeps a place in each, so that it runs through no other box.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

Direction = Literal["across", "down"]
BOXES: Mapping[Direction, tuple[int, int]] = {"across": (212, 44), "down": (142, 58)}
"""Width and height of a step's box: downwards two beside each other fit a phone."""
_BETWEEN_LAYERS = 46
_BETWEEN_BOXES = 16
_WAYPOINT = 12
_MARGIN = 4
_SWEEPS = 4
_MOST_WAYPOINTS = 2000
"""Above this long edges go straight: a drawing of that many lines is not read line by line."""


class Node(msgspec.Struct, frozen=True):
    """A box; `x` and `y` are of its upper left corner."""

    id: str
    x: float
    y: float


class Edge(msgspec.Struct, frozen=True):
    """A line from a need to the step that needs it.

    Args:
        path: an SVG path.
    """

    source: str
    target: str
    path: str


class Graph(msgspec.Struct, frozen=True):
    """A drawing, in pixels; `box` is the width and height of each step's."""

    width: float
    height: float
    box: tuple[int, int]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


Waypoint = tuple[int, int]
"""The number of an edge and a layer it passes."""
Point = int | Waypoint
"""A step, by its number, or a waypoint."""
Place = tuple[float, float]


def layout(needs: Mapping[str, Sequence[str]], direction: Direction) -> Graph:
    """Lay out a graph.

    Args:
        needs: for each step, in plan order, the ids of those it needs; unknown ones are left out.
        direction: of the arrows.
    """
    ids = list(needs)
    numbers = {step: number for number, step in enumerate(ids)}
    known = [[numbers[need] for need in dict.fromkeys(wanted) if need in numbers] for wanted in needs.values()]
    layers = _layers(known)
    chains = _chains(known, layers)
    rows = _rows(layers, chains)
    _untangle(rows, chains)
    places, width, height = _places(rows, direction)
    nodes = tuple(Node(step, *places[number]) for number, step in enumerate(ids))
    edges = tuple(
        Edge(ids[source], ids[target], _path(source, via, target, places, direction))
        for source, via, target in chains
    )
    return Graph(width, height, BOXES[direction], nodes, edges)


Chain = tuple[int, tuple[Waypoint, ...], int]
"""An edge as the points it goes through: the need, a waypoint in each layer between, the step."""


def _layers(needs: Sequence[Sequence[int]]) -> list[int]:
    left = [len(wanted) for wanted in needs]
    dependents: list[list[int]] = [[] for _ in needs]
    for step, wanted in enumerate(needs):
        for need in wanted:
            dependents[need].append(step)
    queue = deque(step for step, count in enumerate(left) if count == 0)
    layers = [0] * len(needs)
    while queue:
        step = queue.popleft()
        for dependent in dependents[step]:
            left[dependent] -= 1
            layers[dependent] = max(layers[dependent], layers[step] + 1)
            if left[dependent] == 0:
                queue.append(dependent)
    # A plan has no circle; a record that somebody wrote by hand may.
    return [layer if left[step] == 0 else 0 for step, layer in enumerate(layers)]


def _chains(needs: Sequence[Sequence[int]], layers: Sequence[int]) -> list[Chain]:
    edges = [(need, step) for step, wanted in enumerate(needs) for need in wanted]
    between = sum(max(0, layers[step] - layers[need] - 1) for need, step in edges)
    chains: list[Chain] = []
    for number, (need, step) in enumerate(edges):
        passed = range(layers[need] + 1, layers[step]) if between <= _MOST_WAYPOINTS else ()
        chains.append((need, tuple((number, layer) for layer in passed), step))
    return chains


def _rows(layers: Sequence[int], chains: Sequence[Chain]) -> list[list[Point]]:
    rows: list[list[Point]] = [[] for _ in range(max(layers, default=0) + 1)]
    for step, layer in enumerate(layers):
        rows[layer].append(step)
    for _, via, _ in chains:
        for waypoint in via:
            rows[waypoint[1]].append(waypoint)
    return rows


def _untangle(rows: list[list[Point]], chains: Sequence[Chain]) -> None:
    before: dict[Point, list[Point]] = {}
    after: dict[Point, list[Point]] = {}
    for first, via, last in chains:
        points: list[Point] = [first, *via, last]
        for source, target in pairwise(points):
            before.setdefault(target, []).append(source)
            after.setdefault(source, []).append(target)
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        neighbours = before if downward else after
        shares = {point: _share(index, row) for row in rows for index, point in enumerate(row)}
        for row in rows[1:] if downward else rows[-2::-1]:
            wanted = {
                point: _mean([shares[each] for each in neighbours.get(point, ())], shares[point]) for point in row
            }
            row.sort(key=wanted.__getitem__)
            shares.update((point, _share(index, row)) for index, point in enumerate(row))


def _share(index: int, row: Sequence[Point]) -> float:
    return (index + 0.5) / len(row)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _places(rows: Sequence[Sequence[Point]], direction: Direction) -> tuple[dict[Point, Place], float, float]:
    """Upper left corners of boxes, where lines enter the layers they pass, and the size of the drawing."""
    across = direction == "across"
    along, beside = BOXES[direction] if across else BOXES[direction][::-1]
    lengths = [sum(_beside(point, beside) for point in row) + _BETWEEN_BOXES * (len(row) - 1) for row in rows]
    widest = max(lengths)
    places: dict[Point, Place] = {}
    for number, row in enumerate(rows):
        main = _MARGIN + number * (along + _BETWEEN_LAYERS)
        cross = _MARGIN + (widest - lengths[number]) / 2
        for point in row:
            at = (main, cross if isinstance(point, int) else cross + _WAYPOINT / 2)
            places[point] = at if across else at[::-1]
            cross += _beside(point, beside) + _BETWEEN_BOXES
    total = len(rows) * along + (len(rows) - 1) * _BETWEEN_LAYERS + 2 * _MARGIN
    size = (total, widest + 2 * _MARGIN)
    return (places, *size) if across else (places, *size[::-1])


def _beside(point: Point, box: float) -> float:
    return box if isinstance(point, int) else _WAYPOINT


def _path(
    source: int, via: Sequence[Waypoint], target: int, places: Mapping[Point, Place], direction: Direction
) -> str:
    across = direction == "across"
    width, height = BOXES[direction]
    along = width if across else height
    leave = (width, height / 2) if across else (width / 2, height)
    enter = (0.0, height / 2) if across else (width / 2, 0.0)
    here = _moved(places[source], leave)
    parts = [f"M{_pair(here)}"]
    for waypoint in via:
        there = places[waypoint]
        here_next = _moved(there, (along, 0.0) if across else (0.0, along))
        parts += [_curve(here, there, across), f"L{_pair(here_next)}"]
        here = here_next
    parts.append(_curve(here, _moved(places[target], enter), across))
    return "".join(parts)


def _moved(place: Place, by: Place) -> Place:
    return place[0] + by[0], place[1] + by[1]


def _curve(start: Place, end: Place, across: bool) -> str:
    if across:
        middle = (start[0] + end[0]) / 2
        return f"C{_pair((middle, start[1]))} {_pair((middle, end[1]))} {_pair(end)}"
    middle = (start[1] + end[1]) / 2
    return f"C{_pair((start[0], middle))} {_pair((end[0], middle))} {_pair(end)}"


def _pair(place: Place) -> str:
    return f"{place[0]:g},{place[1]:g}"
