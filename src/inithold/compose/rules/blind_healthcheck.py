"""The healthcheck of init cannot see whether the environment is ready

## What happens

The healthcheck looks at something other than what the command publishes: another marker path, a command that
always succeeds, the mere existence of a process, a program that does not exist, or nothing at all because it is
switched off (`disable: true`, `["NONE"]`; often in an override). Dependents then start too early, or never.
`true`, `exit 0`, `sleep 1` and whatever ends in `|| true` always succeed; servers that others wait for are
looked at for these, too.

As a string, `test: NONE` does not switch a healthcheck off: Compose runs a program named `NONE`, which fails
forever.

## Before

```yaml
services:
  init:
    command: sh -c "python setup.py && touch /tmp/ready && sleep infinity"
    healthcheck:
      test: test -f /tmp/init-complete
```

## After

```yaml
services:
  init:
    command: sh -c "python setup.py && touch /tmp/ready && sleep infinity"
    healthcheck:
      test: test -f /tmp/ready
```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of
from inithold.compose.read.tree import Mapping, Scalar
from inithold.compose.stack import wiring
from inithold.compose.stack.probe import Sight, read_probe
from inithold.compose.stack.roles import HEALTHY

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

ID = "blind-healthcheck"


_WHY = {
    Sight.ALWAYS: "always succeeds: dependents start before the environment is ready",
    Sight.PROCESS: "only sees that a process runs: dependents start before the environment is ready",
    Sight.NEVER: "can never succeed: dependents never start",
}


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each held init, and each awaited server, whose healthcheck sees nothing."""
    awaited = {
        entry.target for entries in stack.dependencies.values() for entry in entries if entry.condition == HEALTHY
    }
    for name in awaited & (stack.project.services.keys() - stack.inits.keys()):
        probe = read_probe(stack.project.services[name].value("healthcheck"))
        if probe.sight is Sight.ALWAYS and probe.place is not None:
            yield Finding(
                ID,
                Severity.WARNING,
                f"the healthcheck of {name} always succeeds: who waits for it does not wait until it is ready",
                location_of(probe.place),
                name,
                remedy="test for what the others need of it, without `|| true`",
            )
    for init in stack.inits.values():
        why = _why(init) if init.held else None
        place = init.probe.place
        if why is None or place is None:
            continue
        changes = _fix(init, stack)
        yield Finding(
            ID,
            Severity.ERROR,
            f"the healthcheck of {init.name} {why}",
            location_of(place),
            init.name,
            changes=tuple(changes),
            remedy=None if changes else "let the command write a marker when it is done, and test for that",
        )


def _why(init: Init) -> str | None:
    sight, marks = init.probe.sight, init.command.marks
    if sight in _WHY:
        return _WHY[sight]
    if sight is Sight.DISABLED:
        return "is switched off: nobody can wait for it to be healthy, and `up` fails for those who do"
    if sight is Sight.INITHOLD and init.command.argv and init.command.sleeps:
        return "asks inithold, which its command does not run: it never becomes healthy"
    if sight in (Sight.MARKER, Sight.INITHOLD) and marks and "$" not in init.probed_path:
        known = [mark for mark in marks if "$" not in mark]
        if known == list(marks) and init.probed_path not in known:
            return f"looks at {init.probed_path}, but the command writes {known[0]}: it never becomes healthy"
    return None


def _fix(init: Init, stack: Stack) -> list[Change]:
    if init.probe.sight is Sight.DISABLED:
        return _switch_on(init, stack)
    marker = init.marker
    if marker is None or "$" in marker:
        return []
    test = init.service.value("healthcheck", "test")
    path = init.probe.path
    if init.probe.sight is Sight.MARKER and isinstance(test, Scalar) and path is not None and path in test.text:
        return [Change(init.name, ("healthcheck", "test"), test.text.replace(path, marker))]
    return wiring.probe_with(init, wiring.test_for(init))


def _switch_on(init: Init, stack: Stack) -> list[Change]:
    healthcheck = init.service.value("healthcheck")
    disabled = (init.service.text("healthcheck", "disable") or "").lower() == "true"
    if not disabled or not isinstance(healthcheck, Mapping):
        return wiring.add_healthcheck(init, stack)
    rest = {key: value for key, value in healthcheck.entries.items() if key != "disable"}
    if read_probe(Mapping(healthcheck.places, None, rest)).sight is Sight.NONE:
        return wiring.add_healthcheck(init, stack)
    return [Change(init.name, ("healthcheck", "disable"), False)]
