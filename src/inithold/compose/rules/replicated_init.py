"""Several replicas of init run at once

## What happens

With `deploy.replicas` or `scale` above one, every replica starts the initialization at the same moment: two
migrations race each other, and one of them fails or both do half. A plan with `lock:` lets one replica apply
while the others wait and check.

The fix, one replica, is unsafe: somebody may count on them.

## Before

```yaml
services:
  init:
    command: inithold run
    deploy:
      replicas: 2
```

## After

```yaml
services:
  init:
    command: inithold run
    deploy:
      replicas: 1
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, spot
from inithold.compose.stack.planfile import COMMAND_LINE, read_plan

if TYPE_CHECKING:
    from inithold.compose.stack.planfile import PlanFacts
    from inithold.compose.stack.roles import Init, Stack

ID = "replicated-init"


_PATHS = (("deploy", "replicas"), ("scale",))


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each init that is started more than once, with no lock that is known of."""
    for init in stack.inits.values():
        many = [path for path in _PATHS if _count(init.service.text(*path)) > 1]
        plan = read_plan(init, stack) if many else None
        if not many or (plan is not None and plan.locked):
            continue
        count = _count(init.service.text(*many[0]))
        unless = " unless its plan, which is not found from here, has a lock" if _may_lock(init, plan) else ""
        yield Finding(
            ID,
            Severity.ERROR,
            f"{count} replicas of {init.name} run the initialization at the same time{unless}",
            spot(init.service, *many[0]),
            init.name,
            changes=tuple(Change(init.name, path, 1) for path in many),
            unsafe=True,
        )


def _may_lock(init: Init, plan: PlanFacts | None) -> bool:
    return init.command.inithold and not init.command.wrapped and (plan is None or plan.file == COMMAND_LINE)


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 1
