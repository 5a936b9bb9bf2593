"""The marker outlives the container

## What happens

The marker lies in a bind mount or a volume and is probed with `test -f`. It is still there when the container
is recreated: the new init reads healthy from the first probe on, while it runs, and also when it fails. An
anonymous volume is no better, since Compose hands it to the next container.

`inithold health` knows the marker of another container from its own.

## Before

```yaml
services:
  init:
    command: sh -c "./setup && touch /state/ready && sleep infinity"
    volumes: ["state:/state"]
    healthcheck:
      test: test -f /state/ready
```

## After

```yaml
services:
  init:
    command: sh -c "rm -f /tmp/ready; ./setup && touch /tmp/ready && sleep infinity"
    volumes: ["state:/state"]
    healthcheck:
      test: test -f /tmp/ready
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, location_of
from inithold.compose.stack import wiring
from inithold.compose.stack.probe import Sight
from inithold.compose.stack.roles import mounts

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "marker-outlives-container"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each init whose probed marker lies in a mount that outlives the container."""
    for init in stack.inits.values():
        if init.probe.sight is not Sight.MARKER or init.probe.place is None:
            continue
        path = init.probed_path
        holding = [
            mount for mount in mounts(init.service) if mount.holds(path) and mount.kind in ("bind", "volume")
        ]
        if not holding:
            continue
        mount = max(holding, key=lambda each: len(each.target))
        what = "bind mount" if mount.kind == "bind" else "volume"
        changes = tuple(wiring.probe_with(init, wiring.test_for(init))) if init.command.inithold else ()
        yield Finding(
            ID,
            Severity.ERROR,
            f"{path} lies in a {what} and outlives the container: the next {init.name} reads healthy before it "
            "has done anything",
            location_of(init.probe.place),
            init.name,
            changes=changes,
            remedy=None
            if changes
            else "let the command write its marker to /tmp, remove an old one first, and test for that",
        )
