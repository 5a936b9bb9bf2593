"""The restart policy of init does not fit a service that holds

## What happens

| policy | after a failure | after a reboot or a restart of the engine |
| --- | --- | --- |
| none, `"no"` | it stays down until the next `up` | it stays down; the dependents come back without it |
| `on-failure` | it is started again | it stays down: the engine stopped it, it exited 0, and that is no failure |
| `always` | it is started again | it comes back, also where you had stopped it by hand |
| `unless-stopped` | it is started again | it comes back, unless you had stopped it |

An init service that holds wants `unless-stopped`. `deploy.restart_policy` decides over `restart`, where both
are given: Compose takes its `any`, which Swarm wants, for `always`, and one without a `condition` for no restart.
There the fix is `condition: any`, without `max_attempts`, which the engine takes for `on-failure` alone.

## Before

```yaml
services:
  init:
    command: inithold run
    restart: on-failure
```

## After

```yaml
services:
  init:
    command: inithold run
    restart: unless-stopped
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.layers import weakened_by
from inithold.compose.stack.roles import is_unless_stopped, restart_policy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "init-restart-policy"


_MEANS = {
    "no": "{name} stays down after a failure, and after a reboot its dependents come back without it",
    "on-failure": "{name} is started again after a failure, but not after a reboot: it exits 0 when it is stopped",
    "always": "{name} is started again after a failure, and after a reboot even where it was stopped by hand",
}


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each held init with another policy than `unless-stopped`."""
    for init in stack.inits.values():
        service = init.service
        deploys = service.value("deploy", "restart_policy") is not None
        if not init.held or weakened_by(service, ("restart",), is_unless_stopped) is not None:
            continue
        path = ("deploy", "restart_policy", "condition") if deploys else ("restart",)
        written = service.text(*path)
        policy = restart_policy(service) or "no"
        if policy not in _MEANS or written == "any":
            continue
        yield Finding(
            ID,
            Severity.WARNING,
            f"{f'restart: {policy}' if written else 'no restart policy'}: {_MEANS[policy].format(name=init.name)}",
            spot(service, *path),
            init.name,
            changes=tuple(wiring.restart(init)),
        )
