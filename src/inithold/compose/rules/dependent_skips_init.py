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

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of
from inithold.compose.stack.command import filled_words
from inithold.compose.stack.probe import Sight
from inithold.compose.stack.roles import HEALTHY, is_gate
from inithold.compose.stack.variables import variables

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place
    from inithold.compose.stack.roles import Init, Stack

ID = "dependent-skips-init"


_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
# `db`, `db:5432`, `amqp://me@mq/`, `host=db port=5432`, `Server=db;Port=5432`.
_HOST = re.compile(rf"(?:^|[@/,=])({_NAME})(?=[:/,]|$)|=({_NAME})(?=[\s;])")
_URL = re.compile(rf"://(?:[^/@\s]*@)?({_NAME})")


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service that uses what an init prepares and does not wait for it."""
    prepared = {init.name: _prepared(init, stack) for init in stack.inits.values()}
    last = [init for init in stack.inits.values() if not _feeds_another(init, stack)]
    for service in stack.project.services.values():
        if service.name in stack.inits or is_gate(service):
            continue
        used = _used(service, stack)
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
    healthy = init.held and init.probe.sight not in (Sight.NONE, Sight.DISABLED)
    change = Change(service.name, ("depends_on", init.name), {"condition": HEALTHY})
    return Finding(
        ID,
        Severity.WARNING,
        f"{service.name} reaches {backing}, which {init.name} prepares, and may start before {init.name} is done",
        location_of(place),
        service.name,
        init.name,
        changes=(change,) if healthy else (),
        unsafe=True,
        remedy=None if healthy else f"let {service.name} wait for {init.name}, once that is mended",
    )


def _settled(service: Service, init: Init, stack: Stack) -> bool:
    if any(entry.target == init.name for entry in stack.dependencies[service.name]):
        return True
    # What init itself waits for cannot wait for init.
    return stack.waits_on(service.name, init.name) or service.name in stack.reaches(init.name)


def _feeds_another(init: Init, stack: Stack) -> bool:
    return any(entry.service.name in stack.inits for entry in init.dependents)


def _prepared(init: Init, stack: Stack) -> set[str]:
    return {name for name in _used(init.service, stack) if name not in stack.inits}


def _used(service: Service, stack: Stack) -> dict[str, Place]:
    """The services that this one depends on or names as hosts, and where."""
    found = {entry.target: entry.entry.place for entry in stack.dependencies[service.name]}
    for text, place in variables(service).values():
        for host in (one or other for one, other in _HOST.findall(text)):
            if host in stack.project.services and host != service.name:
                found.setdefault(host, place)
    for field in ("entrypoint", "command"):
        value = service.value(field)
        if value is None:
            continue
        for host in _URL.findall(" ".join(filled_words(value))):
            if host in stack.project.services and host != service.name:
                found.setdefault(host, value.place)
    return found
