"""An init service starts before its server is ready

## What happens

The init service uses a server and starts as soon as that one's container runs: `depends_on` in the short form,
or none at all. Its command does not wait either: it sleeps for a while and hopes, or waits with a short limit
and goes on. On the first start, when a database takes longest, it fails. Retrying by the restart policy is no
way out: while a container is in the engine's restart back-off it reads unhealthy, and `docker compose up` gives
up on it.

Where the server has a healthcheck, the fix (unsafe) is to wait for it. Else `fix --wrap inithold` puts `--wait
tcp://db:5432` before the command. What a program of your own does is not known: only commands that are known to
give up at once are named, such as migration tools and database clients.

## Before

```yaml
services:
  db:
    image: postgres
  migrate:
    image: app
    command: alembic upgrade head
    environment: {DATABASE_URL: postgresql://app@db/app}
    depends_on: [db]
  web:
    image: app
    depends_on:
      migrate:
        condition: service_completed_successfully
```

## After

```yaml
services:
  migrate:
    image: app
    command: inithold run --wait tcp://db:5432 -- alembic upgrade head
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of
from inithold.compose.stack.roles import HEALTHY
from inithold.compose.stack.servers import impatience, unready_servers

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "impatient-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each server that an init uses and does not wait for."""
    for init in [*stack.inits.values(), *stack.probable.values()]:
        for server in unready_servers(init, stack):
            named = any(entry.target == server.name for entry in stack.dependencies[init.name])
            path = ("depends_on", server.name)
            change = (
                Change(init.name, (*path, "condition"), HEALTHY)
                if named
                else Change(init.name, path, {"condition": HEALTHY})
            )
            way = f"`fix --wrap inithold` puts `--wait tcp://{server.name}:{server.port}` before its command; or "
            yield Finding(
                ID,
                Severity.WARNING,
                f"{init.name} may start before {server.name} is ready, and {impatience(init.command)}: "
                "a first `up` may fail",
                location_of(server.place),
                init.name,
                server.name,
                changes=(change,) if server.tested else (),
                unsafe=True,
                remedy=None
                if server.tested
                else f"{way if server.port and not init.held else ''}"
                f"give {server.name} a healthcheck and wait for service_healthy",
            )
