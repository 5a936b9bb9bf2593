"""Init does not hear SIGTERM

## What happens

The kernel gives PID 1 no default action for SIGTERM. `sleep infinity`, `tail -f /dev/null`, a shell without
`trap` and Python without a handler do not react to it: `docker compose stop`, `down` and each recreation take
ten seconds and end in SIGKILL, with exit code 137. With `init: true` a small init process is PID 1 and passes
the signal on.

## Before

```yaml
services:
  init:
    command: sh -c "./setup && touch /tmp/ready && sleep infinity"
```

## After

```yaml
services:
  init:
    command: sh -c "./setup && touch /tmp/ready && sleep infinity"
    init: true
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, spot

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "deaf-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each held init whose first process ignores SIGTERM."""
    for init in stack.inits.values():
        if not init.held or not init.command.deaf or (init.service.text("init") or "").lower() == "true":
            continue
        field = "command" if init.service.value("command") is not None else "entrypoint"
        yield Finding(
            ID,
            Severity.WARNING,
            f"the first process of {init.name} ignores SIGTERM: each stop takes ten seconds and ends in SIGKILL",
            spot(init.service, field),
            init.name,
            changes=(Change(init.name, ("init",), True),),
        )
