"""A provider does not wait for what it depends on

## What happens

A service with `provider:` is made while Compose creates the stack, before any container starts, and on each
`up`. The conditions of its `depends_on` are never honoured: it runs although the database that it names is not
even started (measured with Compose 2.40.3 and 5.6.1). So a provider cannot initialize anything inside the
stack.

## Before

```yaml
services:
  db:
    image: postgres
  schema:
    provider: {type: migrate}
    depends_on:
      db:
        condition: service_healthy
```

## After

```yaml
services:
  db:
    image: postgres
  schema:
    image: app
    command: inithold run
    depends_on:
      db:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "provider-too-early"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service that a provider depends on."""
    for service in stack.project.services.values():
        for entry in stack.dependencies[service.name] if service.value("provider") is not None else ():
            target = stack.project.services.get(entry.target)
            if target is not None and target.value("provider") is not None:
                continue
            yield Finding(
                ID,
                Severity.ERROR,
                f"the provider of {service.name} runs before any container starts: it does not wait for "
                f"{entry.target}",
                spot(service, "depends_on", entry.target, "condition"),
                service.name,
                entry.target,
                remedy="do what needs a running container in an init service, which holds",
            )
