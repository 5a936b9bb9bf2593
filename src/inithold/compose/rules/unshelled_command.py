"""Compose drops what follows a shell operator

## What happens

Compose splits a string `command` or `entrypoint` into words by itself and starts no shell. At the first
unquoted `;`, `&`, `|`, `<` or `>` it stops: `command: alembic upgrade head && sleep infinity` runs `alembic
upgrade head` and nothing else, without a word of warning. `docker compose config` shows what is left.

The fix is unsafe, since it makes the container do what was written and never done.

## Before

```yaml
services:
  init:
    command: alembic upgrade head && touch /tmp/ready && sleep infinity
```

## After

```yaml
services:
  init:
    command: ["sh", "-c", "alembic upgrade head && touch /tmp/ready && sleep infinity"]
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, spot
from inithold.compose.read.tree import Scalar
from inithold.compose.stack.command import has_no_words, read_command, words

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

ID = "unshelled-command"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each string command that Compose cuts short."""
    for service in stack.project.services.values():
        for field in ("entrypoint", "command"):
            value = service.value(field)
            dropped = words(value)[1].strip()
            if not dropped or not isinstance(value, Scalar):
                continue
            yield Finding(
                ID,
                Severity.ERROR,
                f"Compose starts no shell for a string: {service.name} runs without `{_short(dropped)}`",
                spot(service, field),
                service.name,
                changes=_fix(service, field, value),
                unsafe=True,
                remedy="quote what is meant literally, or let `sh -c` run it: the entrypoint stands before it",
            )


def _fix(service: Service, field: str, value: Scalar) -> tuple[Change, ...]:
    """Give it a shell, unless an entrypoint of the service's own would take that for its arguments.

    Behind `inithold run` nothing is ever reached: it holds.
    """
    if field == "command" and not has_no_words(service.value("entrypoint")):
        return ()
    if read_command(service).inithold:
        return ()
    return (Change(service.name, (field,), ["sh", "-c", value.text]),)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
