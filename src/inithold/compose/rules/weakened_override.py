"""An override undoes the wiring of init

## What happens

A later file replaces what an earlier one had right: init's restart policy, the test of its healthcheck, or a
dependent's condition. The short form is the usual trap: `depends_on: [init]` in an override sets the condition
back to `service_started`. Whoever starts the stack with that file gets dependents that do not wait.

A healthcheck that an override switches off is named by `blind-healthcheck`.

## Before

```yaml
# compose.yaml
services:
  web:
    depends_on:
      init:
        condition: service_healthy
---
# compose.override.yaml
services:
  web:
    depends_on:
      - init
```

## After

```yaml
# compose.override.yaml
services:
  web:
    depends_on:
      init:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, key_location, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.layers import weakened_by
from inithold.compose.stack.probe import Sight, read_probe
from inithold.compose.stack.roles import COMPLETED, HEALTHY, is_awaited, is_healthy, is_unless_stopped

if TYPE_CHECKING:
    from inithold.compose.finding import Location
    from inithold.compose.read.project import Service
    from inithold.compose.read.reader import Layer
    from inithold.compose.read.tree import Value
    from inithold.compose.stack.roles import Init, Stack

ID = "weakened-override"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each value of init's wiring that a later file weakens."""
    for init in stack.inits.values():
        if init.held:
            yield from _of_init(init)
    for service in stack.project.services.values():
        if len(service.layers) > 1:
            for init in stack.inits.values():
                yield from _of_dependent(service, init)


def _of_init(init: Init) -> Iterator[Finding]:
    service = init.service
    layer = weakened_by(service, ("restart",), is_unless_stopped)
    if layer is not None:
        yield Finding(
            ID,
            Severity.WARNING,
            f"{layer.source.name} sets restart to {service.text('restart') or 'nothing'}: {init.name} no longer "
            "comes back as the files before want it to",
            spot(service, "restart"),
            init.name,
            changes=tuple(wiring.restart(init)),
        )
    layer = weakened_by(service, ("healthcheck",), _sees_marker)
    if layer is not None and init.probe.sight is Sight.OTHER:
        changes = wiring.probe_with(init, wiring.test_for(init)) if init.marker else []
        yield Finding(
            ID,
            Severity.ERROR,
            f"{layer.source.name} replaces the test of {init.name}, which saw its marker, with one that does not",
            spot(service, "healthcheck", "test"),
            init.name,
            changes=tuple(changes),
            remedy=None if changes else f"remove the test from {layer.source.name}",
        )


def _of_dependent(service: Service, init: Init) -> Iterator[Finding]:
    path = ("depends_on", init.name, "condition")
    layer = weakened_by(service, path, is_healthy if init.held else is_awaited)
    if layer is None:
        return
    present = service.value("depends_on", init.name) is not None
    wanted, what = (HEALTHY, "healthy") if init.held else (COMPLETED, "done")
    change = Change(service.name, path, wanted)
    yield Finding(
        ID,
        Severity.ERROR,
        f"{layer.source.name} lets {service.name} start before {init.name} is {what}, unlike the files before it",
        spot(service, *path) if present else _at(layer),
        service.name,
        init.name,
        changes=(change if present else Change(service.name, path[:2], {"condition": wanted}),),
    )


def _at(layer: Layer) -> Location:
    written = layer.written.get("depends_on")
    return key_location(written if written is not None else layer.written)


def _sees_marker(value: Value | None) -> bool:
    return read_probe(value).sight in (Sight.MARKER, Sight.INITHOLD)
