"""A `pre_start` hook runs once for all replicas

## What happens

Of a service with several replicas the hook runs once, before the first of them, with the volumes of that one. An
anonymous volume is made for each replica: the others' stay empty. A replica that is added later (`up --scale`), or
that is started again, gets no hook at all (measured with Compose 5.3.1 and 5.6.1). So a hook may prepare what the
replicas share, such as a database or a named volume, and nothing that each has for itself.

## Before

```yaml
services:
  web:
    image: app
    scale: 3
    volumes: ["/cache"]
    pre_start:
      - command: ["warm-cache", "/cache"]
```

## After

```yaml
services:
  web:
    image: app
    scale: 3
    volumes: ["/cache"]
    command: ["sh", "-c", "warm-cache /cache && exec serve"]
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, location_of
from inithold.compose.stack.hooks import hooks
from inithold.compose.stack.roles import mounts, replicas

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "scaled-pre-start"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service with hooks and several replicas."""
    for service in stack.project.services.values():
        listed = hooks(service, "pre_start")
        own = [mount.target for mount in mounts(service) if mount.kind == "tmpfs" or not mount.source]
        if not listed or replicas(service) < 2 or (listed[0].runs_plan and not own):
            continue
        missing = (
            f"in {own[0]}, which each has for itself, at most the first finds what it prepares"
            if own
            else "one that is added or started again later gets none"
        )
        yield Finding(
            ID,
            Severity.WARNING if own else Severity.INFO,
            f"the hook of {service.name} runs once for {replicas(service)} replicas: {missing}",
            location_of(listed[0].place),
            service.name,
            remedy="prepare in it what the replicas share; what each has for itself, in its own command",
        )
