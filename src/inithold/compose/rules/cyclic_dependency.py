"""Services depend on one another in a circle

## What happens

`docker compose up` refuses the whole stack: "dependency cycle detected". Besides `depends_on`, Compose counts
`links`, `volumes_from` and `network_mode`, `ipc` and `pid` with `service:NAME`.

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

from inithold.compose.finding import Finding, Severity, location_of, spot
from inithold.compose.stack.ties import Tie, ties

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "cyclic-dependency"


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each circle of dependencies, at the entry that closes it."""
    done: set[str] = set()
    known = ties(stack)
    for name in known:
        yield from _walk(name, known, done)


def _walk(start: str, known: dict[str, list[Tie]], done: set[str]) -> Iterator[Finding]:
    # By hand rather than by recursion: a stack may be a chain of thousands.
    path: list[str] = []
    inside: set[str] = set()
    todo = [(start, iter(known.get(start, ())))] if start not in done else []
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
            todo.append((entry.target, iter(known.get(entry.target, ()))))


def _finding(entry: Tie, circle: list[str]) -> Finding:
    shown = " -> ".join([*circle, entry.target])
    return Finding(
        ID,
        Severity.ERROR,
        f"the dependencies go in a circle ({shown}): `up` refuses to start",
        spot(entry.service, "depends_on", entry.target, "condition") if entry.entry else location_of(entry.place),
        entry.service.name,
        entry.target,
        remedy="remove one of these dependencies",
    )
