"""Init is declared unhealthy while it still works

## What happens

Outside `start_period` each failed probe counts, and after `retries` of them the container is unhealthy. Compose
gives up on an unhealthy dependency at once: `up` fails although init would have finished. A long start period
costs nothing, because one success inside it counts at once. Where the plan of `inithold run` can be found (a
bind mount, a `configs` entry, the build context), its own time limits are what the start period must cover.

## Before

```yaml
services:
  init:
    command: inithold run
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
```

## After

```yaml
services:
  init:
    command: inithold run
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      start_period: 15m
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.duration import seconds, shown
from inithold.compose.stack.planfile import read_plan
from inithold.compose.stack.probe import Sight

if TYPE_CHECKING:
    from inithold.compose.stack.planfile import PlanFacts
    from inithold.compose.stack.roles import Init, Stack

ID = "short-start-period"


_USUAL_INTERVAL, _USUAL_RETRIES = 30.0, 3


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each held init whose start period is absent or shorter than its plan's limits."""
    for init in stack.inits.values():
        if not init.held or init.probe.sight in (Sight.NONE, Sight.DISABLED):
            continue
        written = init.service.text("healthcheck", "start_period")
        period = seconds(written) if written is not None else 0.0
        plan = read_plan(init, stack)
        if period is None or (period > 0 and (plan is None or period >= plan.limit)):
            continue
        change = Change(init.name, ("healthcheck", "start_period"), wiring.start_period_for(init, stack))
        yield Finding(
            ID,
            Severity.WARNING,
            _message(init, plan, period),
            spot(init.service, "healthcheck", "start_period"),
            init.name,
            changes=(change,),
        )


def _message(init: Init, plan: PlanFacts | None, period: float) -> str:
    if plan is not None and period > 0:
        return (
            f"{init.name} is declared unhealthy {shown(period)} after its start, but its plan allows itself "
            f"{shown(plan.limit)}: `up` gives up while it still works"
        )
    interval = seconds(init.service.text("healthcheck", "interval"))
    retries = init.service.text("healthcheck", "retries")
    count = int(retries) if retries and retries.isdigit() else _USUAL_RETRIES
    after = (_USUAL_INTERVAL if interval is None else interval) * count
    return (
        f"without a start period {init.name} is declared unhealthy {shown(after)} after its start: `up` gives up "
        "while it still works"
    )
