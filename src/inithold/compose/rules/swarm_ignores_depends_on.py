"""Swarm ignores `depends_on`

## What happens

The dependent is written for Swarm (`deploy` with `mode`, `placement`, `update_config`, `rollback_config` or
`endpoint_mode`). `docker stack deploy` ignores `depends_on`: the dependent starts at once, before init is done.
Put the gate `inithold wait` before its command; it waits for the environment itself, wherever it runs.

## Before

```yaml
services:
  web:
    command: gunicorn app
    depends_on:
      init:
        condition: service_healthy
    deploy:
      update_config: {order: start-first}
```

## After

```yaml
services:
  web:
    command: inithold wait postgresql://app@db/app -- gunicorn app
    deploy:
      update_config: {order: start-first}
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack.command import words
from inithold.compose.stack.roles import is_gate

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

ID = "swarm-ignores-depends-on"


_SWARM_ONLY = ("mode", "placement", "update_config", "rollback_config", "endpoint_mode")


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each dependent of an init that is written for Swarm and has no gate of its own."""
    for init in stack.inits.values():
        for entry in init.dependents:
            service = entry.service
            if is_gate(service) or not any(service.value("deploy", key) is not None for key in _SWARM_ONLY):
                continue
            yield Finding(
                ID,
                Severity.WARNING,
                f"in a swarm depends_on is ignored: {service.name} starts before {init.name} is done",
                spot(service, "depends_on", init.name, "condition"),
                service.name,
                init.name,
                remedy=f"put the gate before its command: inithold wait ... -- {_shown(service)}",
            )


def _shown(service: Service) -> str:
    argv = words(service.value("command"))[0]
    return argv[0] if argv else "CMD"
