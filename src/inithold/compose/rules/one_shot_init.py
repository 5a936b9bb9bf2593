"""A one-shot init service runs again on every `up`

## What happens

Dependents wait on the service with `service_completed_successfully`, and its command ends. Compose starts every
container that is not running, so each `docker compose up`, and each `up SERVICE` of a dependent, runs the
initialization again. `docker compose up --wait` fails or hangs in many versions of Compose, because a container
that has exited is not running. In `docker ps` the service shows as a dead container, and nobody can tell "done"
from "crashed".

## Why it is better to hold

An init service that stays up after its work and answers its own healthcheck is run once. `up`, `restart` and
`--scale` of the dependents find it healthy and go on.

`inithold compose fix --wrap inithold` puts `inithold run --` before the command, for images that have inithold.
`--wrap shell` writes a portable form for any image with `sh`. Entrypoint and command are kept exactly. Where
the entrypoint is the image's own, it is read with `docker image inspect`; without an engine the service is left
alone. A command that is `inithold run --once` only loses `--once`; one with `--only` or `--from`, which end
when they are done, is for you to change.

Commands that are given to `docker compose run migrate ...` are wrapped as well: use `docker compose exec` for
those.

## Before

```yaml
services:
  migrate:
    image: app
    command: alembic upgrade head
  web:
    image: app
    depends_on:
      migrate:
        condition: service_completed_successfully
```

## After

```yaml
services:
  migrate:
    image: app
    command: inithold run -- alembic upgrade head
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      timeout: 30s
      start_period: 15m
      start_interval: 500ms
  web:
    image: app
    depends_on:
      migrate:
        condition: service_healthy
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack.hold import make_hold
from inithold.compose.stack.roles import restart_policy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

ID = "one-shot-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each one-shot that dependents wait on."""
    for init in stack.inits.values():
        if init.held or not init.dependents:
            continue
        changes, remedy, note = make_hold(init, stack)
        path = ("deploy", "restart_policy", "condition")
        yield Finding(
            ID,
            Severity.ERROR,
            _message(init),
            spot(init.service, *(path if init.service.value(*path) is not None else ("restart",))),
            init.name,
            changes=tuple(changes),
            remedy=remedy,
            note=note,
        )


def _message(init: Init) -> str:
    names = [entry.service.name for entry in init.dependents if entry.awaits_end]
    waiting = f"{names[0]} waits" if len(names) == 1 else f"{len(names)} services wait"
    policy = restart_policy(init.service)
    if names and policy in ("always", "unless-stopped"):
        return (
            f"{waiting} for {init.name} to complete, but with restart: {policy} it is started again whenever it "
            "exits: it never completes, and `up` waits forever"
        )
    waits = f" and {waiting} for that" if names else ""
    return f"{init.name} exits when it is done{waits}: every `up` runs it again, and `up --wait` may fail"
