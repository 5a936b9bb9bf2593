"""A dependent waits for the end of a service that never exits

## What happens

The init service holds after its work, and a dependent still waits with `service_completed_successfully`. The
init service never completes, so the dependent never starts and `docker compose up` waits without an end.

## Before

```yaml
services:
  init:
    command: inithold run
  web:
    depends_on:
      init:
        condition: service_completed_successfully
```

## After

```yaml
services:
  init:
    command: inithold run
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      timeout: 30s
      start_period: 15m
      start_interval: 500ms
  web:
    depends_on:
      init:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.roles import COMPLETED

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "completed-dependent"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each dependent that waits for a held service to exit."""
    for init in stack.inits.values():
        for entry in init.dependents if init.held else ():
            if entry.condition != COMPLETED:
                continue
            changes = wiring.await_healthy(entry, init, stack)
            yield Finding(
                ID,
                Severity.ERROR,
                f"{entry.service.name} waits for {init.name} to exit, but {init.name} stays up when it is done: "
                f"{entry.service.name} never starts",
                spot(entry.service, "depends_on", init.name, "condition"),
                entry.service.name,
                init.name,
                changes=tuple(changes),
                remedy=None
                if changes
                else f"give {init.name} a healthcheck that sees its marker, then wait for service_healthy",
            )
