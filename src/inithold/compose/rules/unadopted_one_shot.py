"""A one-shot init service that nobody waits for

## What happens

The service is named like an init service, its command ends, and no other service depends on it. Nothing starts
after it, so that the others meet what it has not prepared yet; each `docker compose up` runs it again; and
`docker compose up --wait` exits 1 although all is well: "container migrate-1 exited (0)" (measured with Compose
2.40.3 and 5.6.1).

A service with `profiles` is left alone: it is started by hand. With `--wrap`, the fix makes it hold; it is unsafe,
since nothing but its name says what the service is.

## Before

```yaml
services:
  migrate:
    image: app
    command: alembic upgrade head
    restart: "no"
  web:
    image: app
```

## After

```yaml
services:
  migrate:
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
      migrate:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, key_location
from inithold.compose.stack.hold import make_hold

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "unadopted-one-shot"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each one-shot that no other service waits for."""
    for init in [*stack.inits.values(), *stack.probable.values()]:
        # What has no image is a part of a service that another file has.
        whole = any(init.service.value(field) is not None for field in ("image", "build"))
        if init.held or init.dependents or init.service.value("profiles") is not None or not whole:
            continue
        changes, remedy, note = make_hold(init, stack)
        yield Finding(
            ID,
            Severity.WARNING,
            f"nobody waits for {init.name}, which exits when it is done: every `up` runs it again, "
            "and `up --wait` exits 1 for it",
            key_location(init.service.layers[0].written),
            init.name,
            changes=tuple(changes),
            unsafe=True,
            remedy=remedy,
            note=note,
        )
