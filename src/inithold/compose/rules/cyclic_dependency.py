"""Services depend on one another in a circle

## What happens

`docker compose up` refuses the whole stack: "dependency cycle detected".

## Before

```yaml
services:
  db:
    depends_on: [init]
  init:
    depends_on: [db]
```

## After

```yaml
services:
  db:
    image: postgres
  init:
    depends_on: [db]
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot

if TYPE_CHECKING:
    from inithold.compose.roles import Dependency, Stack

ID = "cyclic-dependency"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each circle of dependencies, at the entry that closes it."""
    done: set[str] = set()
    for name in stack.dependencies:
        yield from _walk(name, stack, done)


def _walk(start: str, stack: Stack, done: set[str]) -> Iterator[Finding]:
    # By hand rather than by recursion: a stack may be a chain of thousands.
    path: list[str] = []
    inside: set[str] = set()
    todo = [(start, iter(stack.dependencies.get(start, ())))] if start not in done else []
    if todo:
        path.append(start)
        inside.add(start)
    while todo:
        name, entries = todo[-1]
        entry = next(entries, None)
        if entry is None:
            todo.pop()
            done.add(name)
            inside.discard(path.pop())
        elif entry.target in inside:
            yield _finding(entry, path[path.index(entry.target) :])
        elif entry.target not in done:
            path.append(entry.target)
            inside.add(entry.target)
            todo.append((entry.target, iter(stack.dependencies.get(entry.target, ()))))


def _finding(entry: Dependency, circle: list[str]) -> Finding:
    shown = " -> ".join([*circle, entry.target])
    return Finding(
        ID,
        Severity.ERROR,
        f"the dependencies go in a circle ({shown}): `up` refuses to start",
        spot(entry.service, "depends_on", entry.target, "condition"),
        entry.service.name,
        entry.target,
        remedy="remove one of these dependencies",
    )
