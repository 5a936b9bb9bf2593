"""The recommended wiring of an init service that holds, as changes to the merged stack.

Why these values: the engine probes first after one full interval, and `start_interval` replaces it only inside
`start_period`, where failures do not count and one success counts at once. So a long start period costs nothing, a
short start interval is paid only until ready, and the interval that is paid forever is long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inithold.compose.finding import DELETE, Change
from inithold.compose.read.tree import Scalar
from inithold.compose.stack.duration import seconds, shown
from inithold.compose.stack.plans import read_plan
from inithold.compose.stack.probe import Sight
from inithold.compose.stack.roles import HEALTHY

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Dependency, Init, Stack

RESTART = "unless-stopped"
PROBE = ["CMD", "inithold", "health", "--wait=25s"]
"""Answers as soon as init is ready, and keeps the engine from starting a process twice a second until then."""
PROBE_TIMEOUT = 30.0
START_PERIOD = 900.0
INTERVAL = "30s"
INTERVAL_WITHOUT_START = "5s"
# Below this a probe is paid forever for nothing; without `start_interval` it is what dependents wait for.
BUSY_BELOW = 10.0
BUSY_BELOW_WITHOUT_START = 2.0
LATE_ABOVE = 2.0
LATE_ABOVE_WITHOUT_START = 10.0


def test_for(init: Init) -> list[str]:
    """The test that sees the readiness of `init` as its command now is."""
    if not init.command.inithold:
        return ["CMD-SHELL", f"test -f {init.marker}"]
    custom = "--marker" in init.command.text and init.marker != init.service.variable("INITHOLD_MARKER")
    return [*PROBE, "--marker", init.marker] if custom and init.marker else PROBE


def start_period_for(init: Init, stack: Stack) -> str:
    """A start period that covers the plan's own limits, with a minute to spare."""
    plan = read_plan(init, stack)
    return shown(max(START_PERIOD, plan.limit + 60 if plan else 0.0))


def probe_with(init: Init, test: list[str]) -> list[Change]:
    """Let `test` be the test of the healthcheck; a timeout that cuts its waiting short is raised."""
    changes = [Change(init.name, ("healthcheck", "test"), test)]
    timeout = seconds(init.service.text("healthcheck", "timeout"))
    if PROBE[-1] in test and timeout is not None and timeout < PROBE_TIMEOUT:
        changes.append(Change(init.name, ("healthcheck", "timeout"), shown(PROBE_TIMEOUT)))
    return changes


def healthcheck(init: Init, stack: Stack, test: list[str], *, tmpfs: bool) -> list[Change]:
    """What the healthcheck of `init` needs so that `test` is its test.

    Args:
        init: the init service.
        stack: with the oldest engine to be supported.
        test: the test.
        tmpfs: the marker lies where no restart leaves an old one.
    """
    service, waits = init.service, PROBE[-1] in test

    def change(field: str, value: object) -> Change:
        return Change(init.name, ("healthcheck", field), value)

    changes = probe_with(init, test)
    if init.probe.sight is Sight.DISABLED and service.value("healthcheck", "disable") is not None:
        changes.append(change("disable", False))
    interval = seconds(service.text("healthcheck", "interval"))
    busy = BUSY_BELOW if stack.start_interval else BUSY_BELOW_WITHOUT_START
    late = not stack.start_interval and interval is not None and interval > LATE_ABOVE_WITHOUT_START
    if service.value("healthcheck", "interval") is None or late or (interval is not None and interval < busy):
        changes.append(change("interval", INTERVAL if stack.start_interval else INTERVAL_WITHOUT_START))
    if service.value("healthcheck", "timeout") is None:
        changes.append(change("timeout", shown(PROBE_TIMEOUT) if waits else "5s"))
    period, covering = seconds(service.text("healthcheck", "start_period")), start_period_for(init, stack)
    short = period is not None and period < (seconds(covering) or 0)
    if service.value("healthcheck", "start_period") is None or short:
        changes.append(change("start_period", covering))
    given = service.value("healthcheck", "start_interval") is not None
    if stack.start_interval and not given:
        # Half a second where no old marker can be seen, else a second.
        changes.append(change("start_interval", "500ms" if "inithold" in test or tmpfs else "1s"))
    elif given and not stack.start_interval:
        changes.append(change("start_interval", DELETE))
    return changes


def restart(init: Init) -> list[Change]:
    """The change of the restart policy; of `deploy.restart_policy` where that decides over `restart`.

    Compose takes its `any`, which Swarm knows, for `always`; with that the engine refuses a number of attempts.
    """
    service, value, right = init.service, RESTART, {RESTART}
    path: tuple[str, ...] = ("restart",)
    changes = []
    if service.value("deploy", "restart_policy") is not None:
        path, value, right = ("deploy", "restart_policy", "condition"), "any", {"any", "always", RESTART}
        attempts = (*path[:-1], "max_attempts")
        if service.value(*attempts) is not None:
            changes.append(Change(init.name, attempts, DELETE))
    written = [layer.tree.get(*path) for layer in service.layers]
    texts = {each.filled for each in written if isinstance(each, Scalar)}
    if service.text(*path) not in right or texts - {service.text(*path)}:
        changes.insert(0, Change(init.name, path, value, everywhere=True))
    return changes


def dependents(init: Init) -> list[Change]:
    """Everyone who waits for `init` to complete waits for it to be healthy."""
    return [
        Change(entry.service.name, ("depends_on", init.name, "condition"), HEALTHY, everywhere=True)
        for entry in init.dependents
        if entry.awaits_end and entry.condition != HEALTHY
    ]


def add_healthcheck(init: Init, stack: Stack) -> list[Change]:
    """A healthcheck for an init whose marker is known; none for another."""
    if init.marker is None or "$" in init.marker:
        return []
    return healthcheck(init, stack, test_for(init), tmpfs=init.on_tmpfs(init.marker))


def await_healthy(entry: Dependency, init: Init, stack: Stack) -> list[Change]:
    """Let a dependent wait for the health of `init`, which is given a healthcheck where it has none."""
    blind = init.probe.sight in (Sight.NONE, Sight.DISABLED)
    added = add_healthcheck(init, stack) if blind else []
    if blind and not added:
        return []
    return [*added, Change(entry.service.name, ("depends_on", init.name, "condition"), HEALTHY, everywhere=True)]
