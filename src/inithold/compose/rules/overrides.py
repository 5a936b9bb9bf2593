"""The rule on override files that undo a correct wiring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, key_location, spot
from inithold.compose.read.merge import merge, settle
from inithold.compose.read.tree import Mapping, Scalar, Value
from inithold.compose.stack import wiring
from inithold.compose.stack.probe import Sight, read_probe
from inithold.compose.stack.roles import COMPLETED, HEALTHY

if TYPE_CHECKING:
    from inithold.compose.read.project import Layer, Service
    from inithold.compose.stack.roles import Init, Stack

_Strong = Callable[[Value | None], bool]


def one_of(*texts: str) -> _Strong:
    """Return a predicate: is a single value one of these?"""
    return lambda value: isinstance(value, Scalar) and value.filled in texts


def awaits(init: Init) -> _Strong:
    """Return a predicate: does a condition wait until `init` is done?"""
    return one_of(HEALTHY) if init.held else one_of(HEALTHY, COMPLETED)


def weakened_by(service: Service, path: tuple[str, ...], strong: _Strong) -> Layer | None:
    """Return the layer that weakens the value at `path` for good after an earlier file had it strong, or None."""
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


def weakened_override(stack: Stack) -> Iterator[Finding]:
    """Values of init's wiring that a later file weakens."""
    for init in stack.held:
        yield from _of_init(init)
    for service in stack.project.services.values():
        for init in stack.inits.values() if len(service.layers) > 1 else ():
            path = ("depends_on", init.name, "condition")
            layer = weakened_by(service, path, awaits(init))
            if layer is None:
                continue
            present = service.value(*path[:2]) is not None
            condition, done = (HEALTHY, "healthy") if init.held else (COMPLETED, "done")
            written = layer.written.get("depends_on") or layer.written
            yield Finding(
                Severity.ERROR,
                f"{layer.source.name} lets {service.name} start before {init.name} is {done}, unlike the files "
                "before it",
                spot(service, *path) if present else key_location(written),
                service.name,
                init.name,
                changes=[
                    Change(service.name, path, condition)
                    if present
                    else Change(service.name, path[:2], {"condition": condition})
                ],
            )


def _of_init(init: Init) -> Iterator[Finding]:
    service = init.service
    layer = weakened_by(service, ("restart",), one_of("unless-stopped"))
    if layer is not None:
        yield Finding(
            Severity.WARNING,
            f"{layer.source.name} sets restart to {service.text('restart') or 'nothing'}: {init.name} no longer "
            "comes back as the earlier files want it to",
            spot(service, "restart"),
            init.name,
            changes=wiring.restart(init),
        )
    layer = weakened_by(
        service, ("healthcheck",), lambda value: read_probe(value).sight in (Sight.MARKER, Sight.INITHOLD)
    )
    if layer is not None and init.probe.sight is Sight.OTHER:
        yield Finding(
            Severity.ERROR,
            f"{layer.source.name} replaces the test of {init.name}, which saw its marker, with one that does not",
            spot(service, "healthcheck", "test"),
            init.name,
            changes=wiring.probe_with(init, wiring.test_for(init)) if init.marker else (),
            remedy=f"remove the test from {layer.source.name}",
        )
