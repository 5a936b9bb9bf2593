"""Looks at what each file does to a value: was it strong before a later file weakened it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from inithold.compose.read.merge import merge, settle
from inithold.compose.read.tree import Mapping, Value

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.reader import Layer


def weakened_by(service: Service, path: tuple[str, ...], strong: Callable[[Value | None], bool]) -> Layer | None:
    """The layer that made the value at `path` weak, where the files before it had it strong and it stays weak.

    Args:
        service: the service.
        path: where in the service.
        strong: is this value as it should be?
    """
    if len(service.layers) < 2 or strong(service.value(*path)):
        return None
    culprit: Layer | None = None
    was_strong = False
    merged: Value | None = None
    for layer in service.layers:
        merged = merge(merged, layer.tree)
        view = settle(merged)
        is_strong = strong(view.get(*path) if isinstance(view, Mapping) else None)
        if was_strong and not is_strong:
            culprit = layer
        was_strong = is_strong
    return culprit
