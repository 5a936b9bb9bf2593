"""Initialization in a `post_start` hook

## What happens

A `post_start` hook runs inside a container that is already started: its program works beside the hook, on an
environment that is not ready. When the hook fails, `up` stops, and the container stays up and healthy. Only
Compose runs it: after a crash or a reboot, when the engine starts the container, it is not run (all measured with
Compose 2.40.3 and 5.6.1).

## Before

```yaml
services:
  web:
    image: app
    post_start:
      - command: ["alembic", "upgrade", "head"]
```

## After

```yaml
services:
  init:
    image: app
    command: inithold run -- alembic upgrade head
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      timeout: 30s
      start_period: 15m
      start_interval: 500ms
  web:
    image: app
    depends_on:
      init:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, location_of
from inithold.compose.stack.hooks import hooks

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "post-start-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each hook that initializes something in a container that runs already."""
    for service in stack.project.services.values():
        for hook in hooks(service, "post_start"):
            if hook.initializes:
                yield Finding(
                    ID,
                    Severity.WARNING,
                    f"the program of {service.name} works beside this hook, not after it, and the engine does not "
                    "run it again",
                    location_of(hook.place),
                    service.name,
                    remedy="make an init service of it that holds, and let the others wait for its health",
                )
