"""A dependent starts before init is done

## What happens

The dependent names init in `depends_on` with the short form or with `service_started`. Compose starts it as
soon as init's container runs, which is before the environment is ready: it meets tables and queues that are not
there yet.

A service whose command goes through `inithold wait` waits by itself and is left alone.

## Before

```yaml
services:
  web:
    depends_on:
      - init
```

## After

```yaml
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

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.layers import weakened_by
from inithold.compose.stack.roles import STARTED, is_gate, is_healthy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Dependency, Stack

ID = "init-not-awaited"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each dependent that does not wait for a held init to be healthy."""
    for init in stack.inits.values():
        for entry in init.dependents if init.held else ():
            if entry.condition != STARTED or is_gate(entry.service) or _weakened(entry, init.name):
                continue
            changes = wiring.await_healthy(entry, init, stack)
            yield Finding(
                ID,
                Severity.ERROR,
                f"{entry.service.name} starts as soon as {init.name} runs, before the environment is ready",
                spot(entry.service, "depends_on", init.name, "condition"),
                entry.service.name,
                init.name,
                changes=tuple(changes),
                remedy=None
                if changes
                else f"give {init.name} a healthcheck that sees its marker, then wait for service_healthy",
            )


def _weakened(entry: Dependency, init: str) -> bool:
    """An override did that: `weakened-override` says so."""
    return weakened_by(entry.service, ("depends_on", init, "condition"), is_healthy) is not None
