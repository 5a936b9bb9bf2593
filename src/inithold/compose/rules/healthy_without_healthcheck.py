"""A dependent waits for health that nobody reports

## What happens

A dependent waits with `service_healthy` on a service that has no healthcheck in the Compose files. Where its
image has none either, or the healthcheck is switched off, `docker compose up` stops with "container has no
healthcheck configured".

A `HEALTHCHECK` in the service's own Dockerfile counts, and that of the image of inithold. One in another image
that is pulled cannot be seen from here: where you know it is there, say so with `# inithold:
ignore[healthy-without-healthcheck]`.

## Before

```yaml
services:
  init:
    command: inithold run
  web:
    depends_on:
      init:
        condition: service_healthy
```

## After

```yaml
services:
  init:
    command: inithold run
    healthcheck:
      test: ["CMD", "inithold", "health", "--wait=25s"]
      interval: 30s
      timeout: 30s
      start_period: 15m
      start_interval: 500ms
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack import wiring
from inithold.compose.stack.command import is_inithold_image
from inithold.compose.stack.probe import Sight, read_probe
from inithold.compose.stack.roles import HEALTHY
from inithold.errors import DocumentError
from inithold.text.yaml12 import read_text

if TYPE_CHECKING:
    from inithold.compose.finding import Location
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Dependency, Stack

ID = "healthy-without-healthcheck"


_HEALTHCHECK = re.compile(r"^\s*HEALTHCHECK\s+(\S+)", re.IGNORECASE | re.MULTILINE)
_STAGE = re.compile(
    r"^[^\S\n]*FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:[^\S\n]+AS[^\S\n]+(?P<name>\S+))?", re.IGNORECASE | re.MULTILINE
)
_LARGEST = 1024 * 1024


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service that dependents expect to be healthy and that cannot tell."""
    awaited: dict[str, list[Dependency]] = {}
    for entries in stack.dependencies.values():
        for entry in entries:
            if entry.condition == HEALTHY:
                awaited.setdefault(entry.target, []).append(entry)
    for name, entries in awaited.items():
        service = stack.project.services.get(name)
        if service is None:
            continue
        probe = read_probe(service.value("healthcheck"))
        init = stack.inits.get(name)
        off = probe.sight is Sight.DISABLED
        # An init service whose healthcheck is switched off is blind-healthcheck's.
        if (
            (off and init is not None)
            or (not off and probe.sight is not Sight.NONE)
            or (not off and _built_in(service))
        ):
            continue
        changes = wiring.add_healthcheck(init, stack) if init is not None and init.held else []
        yield Finding(
            ID,
            Severity.ERROR if off else Severity.WARNING,
            _message(name, entries[0].service.name, off),
            _where(service, entries[0], off),
            name,
            entries[0].service.name,
            changes=tuple(changes),
            remedy=None if changes else f"give {name} a healthcheck, or wait for it with service_started",
        )


def _message(name: str, dependent: str, off: bool) -> str:
    if off:
        return f"{dependent} waits for {name} to be healthy, but its healthcheck is switched off: `up` fails"
    return f"{dependent} waits for {name} to be healthy: if its image has no healthcheck either, `up` fails"


def _where(service: Service, entry: Dependency, off: bool) -> Location:
    if off:
        disable = service.value("healthcheck", "disable")
        return spot(service, "healthcheck", "test" if disable is None else "disable")
    return spot(entry.service, "depends_on", service.name, "condition")


def _built_in(service: Service) -> bool:
    """Is the image known to have a healthcheck: inithold's own, or built from a Dockerfile that has one?"""
    if is_inithold_image(service.text("image") or ""):
        return True
    stages = _stages(service.text("build", "dockerfile_inline") or _dockerfile(service))
    names = [stage.name for stage in stages]
    wanted = (service.text("build", "target") or "").lower()
    at = names.index(wanted) if wanted and wanted in names else len(stages) - 1
    while at >= 0:
        if found := _HEALTHCHECK.findall(stages[at].body):
            return str(found[-1]).upper() != "NONE"
        # A stage has what the stage it is built from has.
        at = names.index(stages[at].base) if stages[at].base in names[:at] else -1
    return False


@dataclass(frozen=True, slots=True)
class _Stage:
    name: str
    base: str
    body: str


def _stages(dockerfile: str) -> list[_Stage]:
    starts = list(_STAGE.finditer(dockerfile))
    ends = [*(start.start() for start in starts[1:]), len(dockerfile)][: len(starts)]
    return [
        _Stage((start["name"] or "").lower(), start["base"].lower(), dockerfile[start.end() : end])
        for start, end in zip(starts, ends, strict=True)
    ]


def _dockerfile(service: Service) -> str:
    context = service.scalar("build", "context")
    if context is None or "$" in context.filled or "://" in context.filled:
        return ""
    folder = context.place.source.folder / context.filled
    try:
        return read_text(folder / (service.text("build", "dockerfile") or "Dockerfile"), limit=_LARGEST)
    except DocumentError:
        return ""
