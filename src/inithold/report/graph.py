"""Lays out the dependency graph in layers: a step is one layer after the last of those it needs.

Within a layer, steps are ordered by the mean position of their neighbours (the barycentre method of Sugiyama,
Tagawa and Toda, 1981). An edge that spans several layers reserves a place in each, so that it crosses no box.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean as mean
from typing import Literal

import msgspec

Direction = Literal["across", "down"]
BOXES: Mapping[Direction, tuple[int, int]] = {"across": (212, 44), "down": (142, 58)}
"""Width and height of a step's box; when the graph goes down, two side by side fit a phone."""
_BETWEEN_LAYERS = 46
_BETWEEN_BOXES = 16
_WAYPOINT = 12
_MARGIN = 4
_SWEEPS = 4
_MOST_WAYPOINTS = 2000
"""With more, long edges are drawn straight: nobody follows single lines in such a drawing."""


class Node(msgspec.Struct, frozen=True):
    """A box; `x` and `y` are its upper left corner."""

    id: str
    x: float
    y: float


class Edge(msgspec.Struct, frozen=True):
    """A line from a need to the step that needs it; `path` is an SVG path."""

    source: str
    target: str
    path: str


class Graph(msgspec.Struct, frozen=True):
    """A drawing, in pixels; `box` is the width and height of the steps' boxes."""

    width: float
    height: float
    box: tuple[int, int]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


Waypoint = tuple[int, int]
"""An edge's number, and a layer that it passes."""
Point = int | Waypoint
"""A step's number, or a waypoint."""
Place = tuple[float, float]
"""Coordinates along and across the arrows."""


def layout(needs: Mapping[str, Sequence[str]], direction: Direction) -> Graph:
    """Lay out a graph.

    Args:
        needs: for each step, in plan order, the ids of those it needs; unknown ids are ignored.
        direction: the arrows' direction.
    """
    ids = list(needs)
    numbers = {step: number for number, step in enumerate(ids)}
    known = [[numbers[need] for need in dict.fromkeys(those) if need in numbers] for those in needs.values()]
    layers = _layers(known)
    edges = [(need, step) for step, those in enumerate(known) for need in those]
    between = sum(max(0, layers[step] - layers[need] - 1) for need, step in edges)
    chains: list[list[Point]] = []
    rows: list[list[Point]] = [[] for _ in range(max(layers, default=0) + 1)]
    for step, layer in enumerate(layers):
        rows[layer].append(step)
    for number, (need, step) in enumerate(edges):
        passed = range(layers[need] + 1, layers[step]) if between <= _MOST_WAYPOINTS else ()
        chains.append([need, *((number, layer) for layer in passed), step])
        for layer in passed:
            rows[layer].append((number, layer))
    _untangle(rows, chains)

    across = direction == "across"
    along, beside = BOXES[direction] if across else BOXES[direction][::-1]
    places, breadth = _places(rows, along, beside)

    def turned(main: float, cross: float) -> Place:
        return (main, cross) if across else (cross, main)

    def pair(main: float, cross: float) -> str:
        x, y = turned(main, cross)
        return f"{x:g},{y:g}"

    def path(chain: Sequence[Point]) -> str:
        parts: list[str] = []
        for source, target in pairwise(chain):
            (main, begin), (stop, end) = places[source], places[target]
            start, middle = main + along, (main + along + stop) / 2
            begin += beside / 2 if isinstance(source, int) else 0
            end += beside / 2 if isinstance(target, int) else 0
            parts.append(f"{'L' if parts else 'M'}{pair(start, begin)}")
            parts.append(f"C{pair(middle, begin)} {pair(middle, end)} {pair(stop, end)}")
        return "".join(parts)

    length = len(rows) * along + (len(rows) - 1) * _BETWEEN_LAYERS + 2 * _MARGIN
    return Graph(
        *turned(length, breadth + 2 * _MARGIN),
        BOXES[direction],
        tuple(Node(step, *turned(*places[number])) for number, step in enumerate(ids)),
        tuple(Edge(ids[need], ids[step], path(chain)) for (need, step), chain in zip(edges, chains, strict=True)),
    )


def _layers(needs: Sequence[Sequence[int]]) -> list[int]:
    left = [len(those) for those in needs]
    dependents: list[list[int]] = [[] for _ in needs]
    for step, those in enumerate(needs):
        for need in those:
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
    # Plans have no cycles, but a record written by hand may.
    return [layer if left[step] == 0 else 0 for step, layer in enumerate(layers)]


def _untangle(rows: list[list[Point]], chains: Sequence[Sequence[Point]]) -> None:
    before: dict[Point, list[Point]] = {}
    after: dict[Point, list[Point]] = {}
    for chain in chains:
        for source, target in pairwise(chain):
            before.setdefault(target, []).append(source)
            after.setdefault(source, []).append(target)
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        neighbours = before if downward else after
        shares = {point: (index + 0.5) / len(row) for row in rows for index, point in enumerate(row)}
        for row in rows[1:] if downward else rows[-2::-1]:
            means = {point: mean(shares[each] for each in neighbours.get(point) or [point]) for point in row}
            row.sort(key=means.__getitem__)
            shares.update((point, (index + 0.5) / len(row)) for index, point in enumerate(row))


def _places(rows: Sequence[Sequence[Point]], along: float, beside: float) -> tuple[dict[Point, Place], float]:
    """The boxes' upper left corners, the waypoints' places, and the breadth of the drawing."""
    sizes = [[beside if isinstance(point, int) else _WAYPOINT for point in row] for row in rows]
    breadths = [sum(row) + _BETWEEN_BOXES * (len(row) - 1) for row in sizes]
    places: dict[Point, Place] = {}
    for number, row in enumerate(rows):
        cross = _MARGIN + (max(breadths) - breadths[number]) / 2
        for point, size in zip(row, sizes[number], strict=True):
            offset = 0 if isinstance(point, int) else _WAYPOINT / 2
            places[point] = (_MARGIN + number * (along + _BETWEEN_LAYERS), cross + offset)
            cross += size + _BETWEEN_BOXES
    return places, max(breadths)
