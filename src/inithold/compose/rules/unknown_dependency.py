"""A service depends on one that does not exist

## What happens

`docker compose up` refuses the whole stack: "depends on undefined service". Often the name is misspelt, or the
dependency is in an override that was not given. Besides `depends_on`, Compose counts `links`, `volumes_from` and
`network_mode`, `ipc` and `pid` with `service:NAME`.

## Before

```yaml
services:
  web:
    depends_on: [initt]
  init:
    command: inithold run
```

## After

```yaml
services:
  web:
    depends_on:
      init:
        condition: service_healthy
  init:
    command: inithold run
```
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, key_location, location_of
from inithold.compose.read.tree import Scalar
from inithold.compose.stack.ties import ties

if TYPE_CHECKING:
    from inithold.compose.finding import Location
    from inithold.compose.stack.roles import Stack
    from inithold.compose.stack.ties import Tie

ID = "unknown-dependency"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each dependency on a service that is not in the stack."""
    known = list(stack.project.services)
    for entries in ties(stack).values():
        for entry in entries:
            if entry.target in stack.project.services:
                continue
            near = get_close_matches(entry.target, known, 1)
            yield Finding(
                ID,
                Severity.ERROR,
                f"{entry.service.name} depends on {entry.target}, which does not exist: `up` refuses to start",
                _where(entry),
                entry.service.name,
                entry.target,
                remedy=f"did you mean {near[0]}?"
                if near
                else "name a service of the stack, or give the file it is in with -f",
            )


def _where(tie: Tie) -> Location:
    if tie.entry is None:
        return location_of(tie.place)
    condition = tie.entry.entry.get("condition")
    short = isinstance(condition, Scalar) and condition.implied
    return location_of(tie.place) if short else key_location(tie.entry.entry)
