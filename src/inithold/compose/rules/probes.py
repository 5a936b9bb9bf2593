"""Rules on healthchecks: what they look at, how soon they notice, and what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import basename
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of, spot
from inithold.compose.read.tree import Mapping, Scalar
from inithold.compose.stack import wiring
from inithold.compose.stack.command import is_inithold_image
from inithold.compose.stack.duration import seconds, shown
from inithold.compose.stack.ports import wrong_port
from inithold.compose.stack.probe import Sight, read_probe
from inithold.compose.stack.roles import mounts

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

_BLIND = {
    Sight.ALWAYS: "always succeeds: dependents start before the environment is ready",
    Sight.PROCESS: "only sees that a process runs: dependents start before the environment is ready",
    Sight.NEVER: "can never succeed: dependents never start",
    Sight.DISABLED: "is switched off: nobody can wait for it to be healthy, and `up` fails for services that do",
}
# Products of the work, not markers: fine as long as making the file is all there is to do.
_PRODUCT = re.compile(r"\.(?:crt|cert|pem|key|jks|p12|zip|tar|gz|db|sqlite3?|json|ya?ml|conf|ini|xml)$", re.I)
# The engine's defaults.
_INTERVAL, _RETRIES = 30.0, 3


def healthy_without_healthcheck(stack: Stack) -> Iterator[Finding]:
    """Services without a healthcheck that dependents expect to be healthy."""
    for name, entries in stack.health_awaited.items():
        service, init, entry = stack.project.services[name], stack.inits.get(name), entries[0]
        sight = read_probe(service.value("healthcheck")).sight
        waits = f"{entry.service.name} waits for {name} to be healthy"
        remedy = f"give {name} a healthcheck, or wait for it with service_started"
        if sight is Sight.DISABLED and init is None:  # For an init, blind_healthcheck reports it.
            disable = service.value("healthcheck", "disable")
            yield Finding(
                Severity.ERROR,
                f"{waits}, but its healthcheck is switched off: `up` fails",
                spot(service, "healthcheck", "test" if disable is None else "disable"),
                name,
                entry.service.name,
                remedy=remedy,
            )
        if sight is not Sight.NONE or is_inithold_image(service.text("image") or ""):
            continue
        image = stack.images.dockerfile(service)
        if image is None or not image.healthcheck:
            yield Finding(
                Severity.WARNING,
                f"{waits}: if its image has no healthcheck either, `up` fails",
                entry.location,
                name,
                entry.service.name,
                changes=wiring.add_healthcheck(init, stack) if init is not None and init.held else (),
                remedy=remedy,
            )


def blind_healthcheck(stack: Stack) -> Iterator[Finding]:
    """Held inits and awaited servers whose healthcheck does not show readiness."""
    held = {init.name for init in stack.held}
    for name in stack.health_awaited.keys() - held:
        service = stack.project.services[name]
        probe = read_probe(service.value("healthcheck"))
        if probe.sight is Sight.ALWAYS and probe.place is not None:
            yield Finding(
                Severity.WARNING,
                f"the healthcheck of {name} always succeeds: its dependents do not wait until it is ready",
                location_of(probe.place),
                name,
                remedy="test for what its dependents need, without `|| true`",
            )
        never = wrong_port(service) if probe.sight is Sight.OTHER else ""
        if (never or probe.sight is Sight.NEVER) and probe.place is not None:
            yield Finding(
                Severity.ERROR,
                f"the healthcheck of {name} {never}can never succeed: its dependents never start",
                location_of(probe.place),
                name,
                remedy="test for what its dependents need",
            )
    for init in stack.held:
        sight, marks, path = init.probe.sight, init.command.marks, init.probed_path
        why = _BLIND.get(sight)
        if sight is Sight.INITHOLD and init.command.sleeps:
            why = "asks inithold, which its command does not run: it never becomes healthy"
        elif (
            sight in (Sight.MARKER, Sight.INITHOLD)
            and marks
            and not any(_same(path, mark) for mark in marks)
            and "$" not in "".join((*marks, path))
        ):
            why = f"looks at {path}, but the command writes {marks[0]}: it never becomes healthy"
        if why is not None and init.probe.place is not None:
            yield Finding(
                Severity.ERROR,
                f"the healthcheck of {init.name} {why}",
                location_of(init.probe.place),
                init.name,
                changes=_seeing(init, stack),
                remedy="let the command write a marker when it is done, and test for that",
            )


def _same(path: str, mark: str) -> bool:
    """Whether these may be the same file; of a relative path only the name is known."""
    relative = not (path.startswith("/") and mark.startswith("/"))
    return path == mark or (relative and basename(path) == basename(mark))


def _seeing(init: Init, stack: Stack) -> list[Change]:
    service, marker, path = init.service, init.marker, init.probe.path
    if init.probe.sight is Sight.DISABLED:
        healthcheck = service.value("healthcheck")
        if isinstance(healthcheck, Mapping) and (service.text("healthcheck", "disable") or "").lower() == "true":
            rest = {key: value for key, value in healthcheck.entries.items() if key != "disable"}
            if read_probe(Mapping(healthcheck.places, None, rest)).sight is not Sight.NONE:
                return [Change(init.name, ("healthcheck", "disable"), False)]
        return wiring.add_healthcheck(init, stack)
    if marker is None or "$" in marker:
        return []
    test = service.value("healthcheck", "test")
    if init.probe.sight is Sight.MARKER and isinstance(test, Scalar) and path is not None and path in test.text:
        return [Change(init.name, ("healthcheck", "test"), test.text.replace(path, marker))]
    return wiring.probe_with(init, wiring.test_for(init))


def marker_outlives_container(stack: Stack) -> Iterator[Finding]:
    """Inits whose probed marker is in a mount that outlives the container."""
    for init in stack.inits.values():
        path = init.probed_path
        holding = [
            mount for mount in mounts(init.service) if mount.holds(path) and mount.kind in ("bind", "volume")
        ]
        if init.probe.sight is not Sight.MARKER or init.probe.place is None or not holding:
            continue
        if _PRODUCT.search(path) and re.search(rf"!\s+-[efs]\s+['\"]?{re.escape(path)}", init.command.text):
            continue  # Its command does nothing if the file is there.
        mount = max(holding, key=lambda each: len(each.target))
        yield Finding(
            Severity.WARNING if _PRODUCT.search(path) else Severity.ERROR,
            f"{path} lies in a {'bind mount' if mount.kind == 'bind' else 'volume'} and outlives the container: "
            f"the next {init.name} reads healthy before it has done anything",
            location_of(init.probe.place),
            init.name,
            changes=wiring.probe_with(init, wiring.test_for(init)) if init.command.inithold else (),
            remedy="let the command write its marker to /tmp, remove an old one first, and test for that",
        )


def fast_marker_probe(stack: Stack) -> Iterator[Finding]:
    """Held inits probed with `test -f` more than once a second, without a tmpfs."""
    for init in stack.held:
        every = seconds(init.service.text("healthcheck", "start_interval"))
        if (
            init.probe.sight is Sight.MARKER
            and every is not None
            and every < 1
            and not init.on_tmpfs(init.probed_path)
        ):
            yield Finding(
                Severity.WARNING,
                f"after a restart {init.name} can read healthy from the marker of its last run: the first probe "
                f"comes before the command has removed {init.probed_path}",
                spot(init.service, "healthcheck", "start_interval"),
                init.name,
                changes=[Change(init.name, ("healthcheck", "start_interval"), "1s")],
            )


def short_start_period(stack: Stack) -> Iterator[Finding]:
    """Held inits whose start period is missing or shorter than their plan's limits."""
    for init in stack.held:
        service = init.service
        written = service.text("healthcheck", "start_period")
        period = seconds(written) if written is not None else 0.0
        if init.probe.sight in (Sight.NONE, Sight.DISABLED) or period is None:
            continue
        plan = wiring.read_plan(init, stack)
        if period > 0 and (plan is None or period >= plan.limit):
            continue
        if plan is not None and period > 0:
            message = (
                f"{init.name} is declared unhealthy {shown(period)} after its start, but its plan allows itself "
                f"{shown(plan.limit)}: `up` gives up while it is still working"
            )
        else:
            interval, retries = (
                seconds(service.text("healthcheck", "interval")),
                service.text("healthcheck", "retries"),
            )
            count = int(retries) if retries and retries.isdigit() else _RETRIES
            after = (_INTERVAL if interval is None else interval) * count
            message = (
                f"without a start period {init.name} is declared unhealthy {shown(after)} after its start: `up` "
                "gives up while it is still working"
            )
        path = ("healthcheck", "start_period")
        change = Change(init.name, path, wiring.start_period_for(init, stack))
        yield Finding(Severity.WARNING, message, spot(service, *path), init.name, changes=[change])


def slow_start_probe(stack: Stack) -> Iterator[Finding]:
    """Held inits that are probed too rarely while they start."""
    late, field = (
        (wiring.LATE_ABOVE, "start_interval")
        if stack.start_interval
        else (wiring.LATE_ABOVE_WITHOUT_START, "interval")
    )
    for init in stack.held:
        written = init.service.text("healthcheck", "interval")
        interval = seconds(written) if written is not None else _INTERVAL
        fast = stack.start_interval and init.service.value("healthcheck", "start_interval") is not None
        blind = init.probe.sight in (Sight.NONE, Sight.DISABLED) or init.probe.place is None
        if blind or fast or interval is None or interval <= late:
            continue
        safe = init.probe.sight is Sight.INITHOLD or init.on_tmpfs(init.probed_path)
        often = ("500ms" if safe else "1s") if stack.start_interval else wiring.INTERVAL_WITHOUT_START
        yield Finding(
            Severity.WARNING,
            f"dependents start up to {shown(interval)} after {init.name} is done: it is probed only that often",
            spot(init.service, "healthcheck", field),
            init.name,
            changes=[Change(init.name, ("healthcheck", field), often)],
        )


def busy_probe(stack: Stack) -> Iterator[Finding]:
    """Services that are probed too often for as long as they run."""
    for service in stack.project.services.values():
        interval = seconds(service.text("healthcheck", "interval"))
        init = stack.inits.get(service.name)
        if service.name in stack.probable or (init is not None and not init.held):
            continue  # It ends.
        held = init is not None
        limit = wiring.BUSY_BELOW if held and stack.start_interval else wiring.BUSY_BELOW_WITHOUT_START
        if not interval or interval >= limit or read_probe(service.value("healthcheck")).sight is Sight.DISABLED:
            continue
        recommended = wiring.INTERVAL if stack.start_interval else wiring.INTERVAL_WITHOUT_START
        changes = [Change(service.name, ("healthcheck", "interval"), recommended)]
        if stack.start_interval and not held and service.value("healthcheck", "start_interval") is None:
            # The short interval was meant for a fast start: keep it for that.
            fast = service.text("healthcheck", "interval")
            changes.append(Change(service.name, ("healthcheck", "start_interval"), fast))
            if service.value("healthcheck", "start_period") is None:
                changes.append(Change(service.name, ("healthcheck", "start_period"), "1m"))
        yield Finding(
            Severity.WARNING,
            f"a process is started in {service.name} every {shown(interval)} for as long as it lives",
            spot(service, "healthcheck", "interval"),
            service.name,
            changes=changes,
            unsafe=not held,
        )
