"""`test -f` may see the marker of an earlier start

## What happens

A container that restarts keeps the files of its writable layer, and so the marker of the run before, until the
command removes it some milliseconds after the start. With a `start_interval` under a second the engine may
probe in between: init reads healthy, dependents start, and initialization has only begun. On a tmpfs (and in
`/dev/shm`) no old marker is left, and `inithold health` knows an old marker from its own.

## Before

```yaml
services:
  init:
    healthcheck:
      test: test -f /tmp/ready
      start_interval: 200ms
```

## After

```yaml
services:
  init:
    healthcheck:
      test: test -f /tmp/ready
      start_interval: 1s
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, spot
from inithold.compose.stack.duration import seconds
from inithold.compose.stack.probe import Sight

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "fast-marker-probe"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each held init probed with `test -f` more than once a second and without a tmpfs."""
    for init in stack.inits.values():
        every = seconds(init.service.text("healthcheck", "start_interval"))
        if not init.held or init.probe.sight is not Sight.MARKER or every is None or every >= 1:
            continue
        if init.on_tmpfs(init.probed_path):
            continue
        yield Finding(
            ID,
            Severity.WARNING,
            f"after a restart {init.name} can read healthy from the marker of its last run: the first probe comes "
            f"before the command has removed {init.probed_path}",
            spot(init.service, "healthcheck", "start_interval"),
            init.name,
            changes=(Change(init.name, ("healthcheck", "start_interval"), "1s"),),
        )
