"""A healthcheck burns processor time forever

## What happens

`interval` is paid for as long as the container lives, and a probe through the engine costs far more than the
command in it: a process is started in the container each time. An interval under 10 seconds on init, or under 2
seconds on any service, is usually meant for a fast start only. `start_interval` does that and ends with the
start.

For engines before 25 (`--engine 24`) the limit is 2 seconds for init as well. On other services than init the
fix is unsafe: a longer interval also notices a failure later.

## Before

```yaml
services:
  init:
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 1s
      start_period: 15m
```

## After

```yaml
services:
  init:
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      start_period: 15m
      start_interval: 500ms
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.duration import seconds, shown
from inithold.compose.stack.probe import Sight, read_probe

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Init, Stack

ID = "busy-probe"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service that is probed too often forever."""
    for service in stack.project.services.values():
        interval = seconds(service.text("healthcheck", "interval"))
        init = stack.inits.get(service.name)
        held = init is not None and init.held
        limit = wiring.BUSY_BELOW if held and stack.start_interval else wiring.BUSY_BELOW_WITHOUT_START
        if not interval or interval >= limit or read_probe(service.value("healthcheck")).sight is Sight.DISABLED:
            continue
        yield Finding(
            ID,
            Severity.WARNING,
            f"a process is started in {service.name} every {shown(interval)} for as long as it lives",
            spot(service, "healthcheck", "interval"),
            service.name,
            changes=tuple(_fix(service, init if held else None, stack)),
            unsafe=not held,
        )


def _fix(service: Service, init: Init | None, stack: Stack) -> list[Change]:
    recommended = wiring.INTERVAL if stack.start_interval else wiring.INTERVAL_WITHOUT_START
    changes = [Change(service.name, ("healthcheck", "interval"), recommended)]
    fast = service.text("healthcheck", "interval")
    given = service.value("healthcheck", "start_interval") is not None
    if stack.start_interval and not given and init is None:
        # What was wanted is a fast start: keep that.
        changes.append(Change(service.name, ("healthcheck", "start_interval"), fast))
        if service.value("healthcheck", "start_period") is None:
            changes.append(Change(service.name, ("healthcheck", "start_period"), "1m"))
    return changes
