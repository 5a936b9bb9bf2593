"""A dependent starts before init is done

## What happens

The dependent names init in `depends_on` with the short form or with `service_started`. Compose starts it as
soon as init's container runs, which is before the environment is ready: it meets tables and queues that are not
there yet.

A service whose command goes through `inithold wait` waits by itself and is left alone.

For a one-shot the fix is unsafe (`service_completed_successfully`), since it waits for an end; `fix --wrap`
makes it hold, and then lets the dependent wait for its health.

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

from inithold.compose.finding import Change, Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.layers import weakened_by
from inithold.compose.stack.roles import COMPLETED, STARTED, is_awaited, is_gate, is_healthy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Dependency, Init, Stack

ID = "init-not-awaited"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each dependent that does not wait until an init is done."""
    for init in [*stack.inits.values(), *stack.probable.values()]:
        for entry in init.dependents:
            if entry.condition != STARTED or is_gate(entry.service) or _weakened(entry, init):
                continue
            changes, remedy = _fix(entry, init, stack)
            probably = "" if init.sure else f", if {init.name} is an init service, as its name says"
            yield Finding(
                ID,
                Severity.ERROR if init.sure else Severity.WARNING,
                f"{entry.service.name} starts as soon as {init.name} runs, before the environment is ready"
                f"{probably}",
                spot(entry.service, "depends_on", init.name, "condition"),
                entry.service.name,
                init.name,
                changes=tuple(changes),
                unsafe=not init.held,
                remedy=None if changes else remedy,
            )


def _fix(entry: Dependency, init: Init, stack: Stack) -> tuple[list[Change], str]:
    if init.held:
        changes = wiring.await_healthy(entry, init, stack)
        return changes, f"give {init.name} a healthcheck that sees its marker, then wait for service_healthy"
    if stack.wrap is not None and init.sure:
        # It is made to hold first.
        return [], f"make {init.name} hold, then wait for service_healthy"
    return [Change(entry.service.name, ("depends_on", init.name, "condition"), COMPLETED)], ""


def _weakened(entry: Dependency, init: Init) -> bool:
    """An override did that: `weakened-override` says so."""
    strong = is_healthy if init.held else is_awaited
    return weakened_by(entry.service, ("depends_on", init.name, "condition"), strong) is not None
