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
      test: ["CMD", "inithold", "health"]
      interval: 30s
      timeout: 5s
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

from inithold.compose.finding import DELETE, Change, Finding, Severity, spot
from inithold.compose.read.tree import Scalar, Sequence, plain
from inithold.compose.stack import wiring
from inithold.compose.stack.wrap import needs_image, wrap

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

ID = "one-shot-init"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each one-shot that dependents wait on."""
    for init in stack.inits.values():
        if init.held:
            continue
        waiting = [entry.service.name for entry in init.dependents if entry.awaits_end]
        changes, remedy = _mend(init, stack)
        yield Finding(
            ID,
            Severity.ERROR,
            f"{init.name} exits when it is done{_listed(waiting)}: every `up` runs it again, and `up --wait` "
            "may fail",
            spot(init.service, "restart"),
            init.name,
            changes=tuple(changes),
            remedy=remedy,
        )


def _listed(names: list[str]) -> str:
    if not names:
        return ""
    return f" and {f'{names[0]} waits' if len(names) == 1 else f'{len(names)} services wait'} for that"


def _mend(init: Init, stack: Stack) -> tuple[list[Change], str | None]:
    if _policy(init):
        return [], "remove deploy.restart_policy, which decides over restart, then fix again"
    if init.command.repair:
        return [], (
            "run the whole plan with `inithold run`, which holds: --only and --from are for repairs beside such a "
            "run, and end when they are done"
        )
    if init.command.inithold:
        return _without_once(init, stack)
    if stack.wrap is None:
        return (
            [],
            "make it hold: `fix --wrap inithold` for an image that has inithold, `--wrap shell` for any with sh",
        )
    image = stack.images(init.service) if needs_image(init.service) else None
    wrapped = wrap(init, stack.wrap, image)
    if wrapped is None:
        return [], (
            "its entrypoint is the image's, which no engine here could tell: pull or build the image where docker "
            "answers, or write `entrypoint:` into the service"
        )
    wired = wiring.healthcheck(init, stack, wrapped.test, tmpfs=wrapped.tmpfs)
    return [*wrapped.changes, *wiring.restart(init), *wired, *wiring.dependents(init)], None


def _policy(init: Init) -> bool:
    return init.service.value("deploy", "restart_policy") is not None


def _without_once(init: Init, stack: Stack) -> tuple[list[Change], str | None]:
    changes: list[Change] = []
    for field in ("entrypoint", "command"):
        value = init.service.value(field)
        if isinstance(value, Sequence) and any(plain(item) == "--once" for item in value.items):
            rest = plain(value)
            rest.remove("--once")
            changes.append(Change(init.name, (field,), rest))
        elif isinstance(value, Scalar) and " --once" in value.text:
            changes.append(Change(init.name, (field,), value.text.replace(" --once", "", 1)))
    if init.service.value("environment", "INITHOLD_ONCE") is not None:
        changes.append(Change(init.name, ("environment", "INITHOLD_ONCE"), DELETE))
    if not changes:
        return [], "take --once from its command, so that it holds"
    wired = wiring.healthcheck(init, stack, wiring.test_for(init), tmpfs=False)
    return [*changes, *wiring.restart(init), *wired, *wiring.dependents(init)], None
