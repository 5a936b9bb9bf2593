"""A service waits for an init service that is not in its profile

## What happens

The init service has `profiles`, and a dependent is started without them. Compose does not switch a dependency's
profile on: `docker compose up` refuses to start with "depends on undefined service".

## Before

```yaml
services:
  init:
    command: inithold run
    profiles: [setup]
  web:
    depends_on:
      init:
        condition: service_healthy
```

## After

```yaml
services:
  init:
    command: inithold run
  web:
    depends_on:
      init:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.read.tree import Sequence, plain

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

ID = "inactive-dependency"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each init that a dependent needs without the profile it is in."""
    for init in stack.inits.values():
        own = _profiles(init.service)
        for entry in init.dependents if own else ():
            theirs = _profiles(entry.service)
            if (theirs and theirs <= own) or not entry.flag("required", default=True):
                continue
            yield Finding(
                ID,
                Severity.WARNING,
                f"without the profile {min(own)} `up` refuses to start: {entry.service.name} depends on "
                f"{init.name}, which is not active then",
                spot(init.service, "profiles"),
                init.name,
                entry.service.name,
                remedy=f"remove the profiles of {init.name}, or give {entry.service.name} the same",
            )
            break


def _profiles(service: Service) -> set[str]:
    value = service.value("profiles")
    return {str(name) for name in plain(value)} if isinstance(value, Sequence) else set()
