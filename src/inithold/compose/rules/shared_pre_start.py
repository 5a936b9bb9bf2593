"""Several services have the same `pre_start` hook

## What happens

Each service runs its own hooks, and services start side by side: the same migration runs several times at the
same moment, once for each service that has it, and again whenever one of them is recreated (measured with
Compose 5.3.1 and 5.6.1). Without a lock the runs race one another.

With `fix --wrap inithold` (or `--wrap shell`) the hook becomes one init service that holds, and the services
wait for its health.

- **Gained**: it runs once for all of them; a failure is retried, seen in its health and kept in a record; it runs
  again when its container starts again, after a reboot, too.
- **Lost**: it no longer runs before each new container of these services; there is one container more.

A hook that runs a plan of inithold is left alone: the plan's `lock:` lets one of them work while the others wait.

## Before

```yaml
services:
  web:
    image: app
    pre_start:
      - command: ["alembic", "upgrade", "head"]
  worker:
    image: app
    pre_start:
      - command: ["alembic", "upgrade", "head"]
```

## After

```yaml
services:
  init:
    image: app
    command: ["inithold", "run", "--", "alembic", "upgrade", "head"]
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
  worker:
    image: app
    depends_on:
      init:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of
from inithold.compose.stack.hooks import ByHand, one_init, shared_hooks

if TYPE_CHECKING:
    from inithold.compose.stack.hooks import Hook
    from inithold.compose.stack.roles import Stack

ID = "shared-pre-start"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each hook that several services have."""
    for group in shared_hooks(stack):
        if group[0].runs_plan:
            continue
        names = [hook.service.name for hook in group]
        changes, remedy, note = _fix(group, stack)
        yield Finding(
            ID,
            Severity.WARNING,
            f"the hook `{_short(group[0].text)}` runs {len(names)} times at the same moment, for "
            f"{', '.join(names)}, and again whenever one of them is recreated",
            location_of(group[0].place),
            names[0],
            changes=tuple(changes),
            remedy=remedy,
            note=note,
        )


def _fix(group: list[Hook], stack: Stack) -> tuple[list[Change], str | None, str | None]:
    if stack.wrap is None:
        return [], "`fix --wrap inithold` (or `--wrap shell`) makes one init service of it, which holds", None
    try:
        changes = one_init(group, stack.wrap, stack)
    except ByHand as reason:
        return [], f"make one init service of it: {reason}", None
    service, names = changes[0], ", ".join(hook.service.name for hook in group)
    return (
        changes,
        None,
        f"gained: {service.service} runs once for {names}, retried, with health and record, and again after a "
        "reboot; lost: it no longer runs before each new container of theirs; "
        f"its image {service.value['image']} must contain {'inithold' if stack.wrap == 'inithold' else 'sh'}",
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
