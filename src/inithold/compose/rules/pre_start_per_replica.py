"""Compose refuses a hook for each replica

## What happens

`per_replica: true` is part of the Compose specification and not of Compose: `docker compose up` stops with
"per_replica is not yet supported" (measured with Compose 5.3.1 and 5.6.1). A hook runs once, for all replicas
of its service. What each container needs for itself belongs into its own command, before the program.

## Before

```yaml
services:
  web:
    image: app
    pre_start:
      - command: ["warm-cache", "/cache"]
        per_replica: true
```

## After

```yaml
services:
  web:
    image: app
    command: ["sh", "-c", "warm-cache /cache && exec serve"]
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, location_of
from inithold.compose.read.tree import Scalar
from inithold.compose.stack.hooks import hooks

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "pre-start-per-replica"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each hook that is to run for each replica."""
    for service in stack.project.services.values():
        for hook in hooks(service, "pre_start"):
            value = hook.value.get("per_replica")
            if isinstance(value, Scalar) and value.filled.lower() == "true":
                yield Finding(
                    ID,
                    Severity.ERROR,
                    f"Compose does not support per_replica: `up` refuses to start {service.name}",
                    location_of(value.place),
                    service.name,
                    remedy="remove per_replica; what each container needs belongs into its own command",
                )
