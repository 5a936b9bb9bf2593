"""Dependents start late

## What happens

The engine probes for the first time one full `interval` after the start, and then once an interval: dependents
start up to that much later than init is done. `start_interval` (Docker Engine 25) probes more often, only
inside `start_period`, and is gone once init is healthy.

For engines before 25 (`--engine 24`) there is no `start_interval`; there a shorter interval is the only means,
and this rule speaks up when it is longer than 10 seconds.

## Before

```yaml
services:
  init:
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
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
from inithold.compose.stack.probe import Sight

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

ID = "slow-start-probe"


_USUAL_INTERVAL = 30.0


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each held init whose probes come too seldom while it starts."""
    for init in stack.inits.values():
        if not init.held or init.probe.sight in (Sight.NONE, Sight.DISABLED) or init.probe.place is None:
            continue
        written = init.service.text("healthcheck", "interval")
        interval = seconds(written) if written is not None else _USUAL_INTERVAL
        if interval is None or (
            stack.start_interval and init.service.value("healthcheck", "start_interval") is not None
        ):
            continue
        late = wiring.LATE_ABOVE if stack.start_interval else wiring.LATE_ABOVE_WITHOUT_START
        if interval <= late:
            continue
        yield Finding(
            ID,
            Severity.WARNING,
            f"dependents start up to {shown(interval)} after {init.name} is done: it is probed only that often",
            spot(init.service, "healthcheck", "start_interval" if stack.start_interval else "interval"),
            init.name,
            changes=(_change(init, stack),),
        )


def _change(init: Init, stack: Stack) -> Change:
    if not stack.start_interval:
        return Change(init.name, ("healthcheck", "interval"), wiring.INTERVAL_WITHOUT_START)
    seen = init.probe.sight is Sight.INITHOLD or init.on_tmpfs(init.probed_path)
    return Change(init.name, ("healthcheck", "start_interval"), "500ms" if seen else "1s")
