"""A `pre_start` hook does not run when the engine starts the service again

## What happens

Hooks are run by `docker compose up`, and by nothing else: not by `docker compose restart`, not by the engine,
which starts the container again after a crash or a reboot. `docker compose start` after a `stop` runs them in
Compose 5.3.1, and fails in 5.6.1 ("no hook runner container found"). So after a reboot a service with a restart
policy starts beside everything else, at once, and whatever its hook waited for or prepared may not be there
(all measured).

A hook that prepares what stays (a migration of a database on a volume) does no harm by that: silence the rule
there. For what must be there at each start, let the service itself wait (`inithold wait ... -- CMD`), or let
init hold: it is a container as any other and runs again when it is started again.

## Before

```yaml
services:
  web:
    image: app
    command: serve
    restart: unless-stopped
    pre_start:
      - command: ["wait-for-it", "db:5432"]
```

## After

```yaml
services:
  web:
    image: app
    command: ["inithold", "wait", "tcp://db:5432", "--", "serve"]
    restart: unless-stopped
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, location_of
from inithold.compose.stack.hooks import hooks
from inithold.compose.stack.roles import restart_policy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "pre-start-not-again"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service with hooks that the engine may start again without them."""
    for service in stack.project.services.values():
        listed = hooks(service, "pre_start")
        policy = restart_policy(service)
        if not listed or policy not in ("always", "unless-stopped", "on-failure") or listed[0].runs_plan:
            continue
        yield Finding(
            ID,
            Severity.INFO,
            f"with restart: {policy} the engine starts {service.name} again without its hook, after a reboot, too",
            location_of(listed[0].place),
            service.name,
            remedy="let the service wait by itself (`inithold wait`), or make an init service of the hook; "
            "silence this where what the hook prepares stays",
        )
