"""The stack asks for more than the oldest engine knows

## What happens

With `--engine N` you say which Docker Engine must still run the stack. Compose refuses to start a service that
asks an older engine for something it does not know: "can't set healthcheck.start_interval as feature require
Docker Engine v25 or later".

| field | first engine |
| --- | --- |
| `healthcheck.start_interval` | 25 |
| `volumes` with `volume.subpath` | 26 |
| `networks` with `gw_priority` | 28 |
| `volumes` of type `image` | 28 |

## Before

```yaml
services:
  init:
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      start_period: 15m
      start_interval: 500ms
```

## After, with `--engine 24`

```yaml
services:
  init:
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 5s
      start_period: 15m
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import DELETE, Change, Finding, Severity, location_of
from inithold.compose.read.tree import Mapping, Scalar, Sequence

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Value
    from inithold.compose.stack.roles import Stack

ID = "engine-too-old"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each field that is newer than the oldest engine to be supported."""
    if stack.engine is None:
        return
    for service in stack.project.services.values():
        for what, first, value in _newer(service):
            if first <= stack.engine:
                continue
            removable = what == "healthcheck.start_interval"
            change = Change(service.name, ("healthcheck", "start_interval"), DELETE)
            yield Finding(
                ID,
                Severity.ERROR,
                f"{what} needs Docker Engine {first}: with {stack.engine} {service.name} does not start",
                location_of(value.place),
                service.name,
                changes=(change,) if removable else (),
                remedy=None if removable else f"do without {what}, or ask for Docker Engine {first}",
            )


def _newer(service: Service) -> Iterator[tuple[str, int, Value]]:
    start_interval = service.value("healthcheck", "start_interval")
    if start_interval is not None:
        yield "healthcheck.start_interval", 25, start_interval
    volumes = service.value("volumes")
    for item in volumes.items if isinstance(volumes, Sequence) else ():
        if not isinstance(item, Mapping):
            continue
        subpath, kind = item.get("volume", "subpath"), item.get("type")
        if subpath is not None:
            yield "volume.subpath", 26, subpath
        if isinstance(kind, Scalar) and kind.filled == "image":
            yield "a volume of type image", 28, kind
    networks = service.value("networks")
    for network in networks.entries.values() if isinstance(networks, Mapping) else ():
        priority = network.get("gw_priority") if isinstance(network, Mapping) else None
        if priority is not None:
            yield "networks.gw_priority", 28, priority
