"""A service reaches what init prepares, without waiting for init

## What happens

The service uses a database, a broker or a store that an init service prepares, and does not wait for that init
service, neither itself nor through what it depends on. On a first start it meets an empty database or a missing
queue.

Services are told by `depends_on`, by the host names in their environment and by the URLs in their command. The
fix is unsafe: a console or an exporter may well want to start without waiting.

## Before

```yaml
services:
  db:
    image: postgres
  init:
    command: inithold run
    depends_on: [db]
  worker:
    environment:
      DATABASE_URL: postgresql://app@db/app
```

## After

```yaml
services:
  worker:
    environment:
      DATABASE_URL: postgresql://app@db/app
    depends_on:
      init:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of
from inithold.compose.stack.probe import Sight
from inithold.compose.stack.roles import COMPLETED, HEALTHY, is_gate
from inithold.compose.stack.servers import used_services

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place
    from inithold.compose.stack.roles import Init, Stack

ID = "dependent-skips-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service that uses what an init prepares and does not wait for it."""
    inits = {**stack.inits, **stack.probable}
    prepared = {init.name: _prepared(init, stack) for init in inits.values()}
    last = [init for init in inits.values() if not _feeds_another(init, stack)]
    for service in stack.project.services.values():
        if service.name in inits or is_gate(service):
            continue
        used = used_services(service, stack)
        open_ones = [init for init in last if not _settled(service, init, stack)] if used else []
        awaited = (
            [names for init, names in prepared.items() if stack.waits_on(service.name, init)] if open_ones else []
        )
        for init in open_ones:
            shared = [
                name for name in used if name in prepared[init.name] and not any(name in each for each in awaited)
            ]
            if shared and service.name not in prepared[init.name]:
                yield _finding(service, init, shared[0], used[shared[0]])


def _finding(service: Service, init: Init, backing: str, place: Place) -> Finding:
    waitable = not init.held or init.probe.sight not in (Sight.NONE, Sight.DISABLED)
    condition = HEALTHY if init.held else COMPLETED
    change = Change(service.name, ("depends_on", init.name), {"condition": condition})
    return Finding(
        ID,
        Severity.WARNING,
        f"{service.name} reaches {backing}, which {init.name} prepares, and may start before {init.name} is done",
        location_of(place),
        service.name,
        init.name,
        changes=(change,) if waitable else (),
        unsafe=True,
        remedy=None if waitable else f"let {service.name} wait for {init.name}, once that is fixed",
    )


def _settled(service: Service, init: Init, stack: Stack) -> bool:
    if any(entry.target == init.name for entry in stack.dependencies[service.name]):
        return True
    # What init itself waits for cannot wait for init.
    return stack.waits_on(service.name, init.name) or service.name in stack.reaches(init.name)


def _feeds_another(init: Init, stack: Stack) -> bool:
    return any(
        entry.service.name in stack.inits or entry.service.name in stack.probable for entry in init.dependents
    )


def _prepared(init: Init, stack: Stack) -> set[str]:
    return {
        name
        for name in used_services(init.service, stack)
        if name not in stack.inits and name not in stack.probable
    }
