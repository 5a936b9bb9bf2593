"""An explicit restart of init restarts every dependent

## What happens

`depends_on: {init: {restart: true}}` makes Compose restart the dependent whenever init is restarted or
recreated by a Compose command. The init service is there so that initialization and dependents need not be
restarted together: `docker compose restart init` would take the whole stack down.

## Before

```yaml
services:
  web:
    depends_on:
      init:
        condition: service_healthy
        restart: true
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

from inithold.compose.finding import DELETE, Change, Finding, Severity, spot

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "restart-with-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each dependent that is restarted with an init service."""
    for init in stack.inits.values():
        for entry in init.dependents:
            if entry.flag("restart", default=False):
                yield Finding(
                    ID,
                    Severity.WARNING,
                    f"whenever Compose restarts or recreates {init.name}, it restarts {entry.service.name} too",
                    spot(entry.service, "depends_on", init.name, "restart"),
                    entry.service.name,
                    init.name,
                    changes=(Change(entry.service.name, ("depends_on", init.name, "restart"), DELETE),),
                )
