"""The recommended wiring of an init service that holds, as changes to the merged stack.

The values follow from how the engine probes: first after one full interval; within `start_period` every
`start_interval`, and there failures do not count and the first success does. So a long start period costs nothing,
a short start interval costs only until ready, and the regular interval, which costs forever, is long.

The time limits and the lock of the plan matter, too. It is read from where the container gets it: a bind mount, a
`configs` entry or the build context. A missing or unreadable plan is ignored here: `inithold run` reports it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from inithold.compose.finding import DELETE, Change
from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.duration import seconds, shown
from inithold.compose.stack.probe import Sight
from inithold.compose.stack.roles import HEALTHY, host_path
from inithold.errors import DocumentError
from inithold.text.yaml12 import read_text

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Dependency, Init, Stack

RESTART = "unless-stopped"
PROBE = ["CMD", "inithold", "health", "--wait=25s"]
"""`--wait` answers as soon as init is ready; without it the engine would start a process twice a second."""
PROBE_TIMEOUT = 30.0
START_PERIOD = 900.0
INTERVAL = "30s"
INTERVAL_WITHOUT_START = "5s"
# Shorter intervals waste CPU for as long as the stack runs; without `start_interval`, dependents wait for one.
BUSY_BELOW = 10.0
BUSY_BELOW_WITHOUT_START = 2.0
LATE_ABOVE = 2.0
LATE_ABOVE_WITHOUT_START = 10.0
COMMAND_LINE = "the command line"
_LARGEST = 1024 * 1024
_READY = 600.0  # The default timeout of a `*.ready` step.


def test_for(init: Init) -> list[str]:
    """Return the healthcheck test that fits the present command of `init`."""
    if not init.command.inithold:
        return ["CMD-SHELL", f"test -f {init.marker}"]
    custom = "--marker" in init.command.text and init.marker != init.service.variable("INITHOLD_MARKER")
    return [*PROBE, "--marker", init.marker] if custom and init.marker else PROBE


def start_period_for(init: Init, stack: Stack) -> str:
    """Return a start period that covers the plan's time limits plus a minute."""
    plan = read_plan(init, stack)
    return shown(max(START_PERIOD, plan.limit + 60 if plan else 0.0))


def probe_with(init: Init, test: list[str]) -> list[Change]:
    """Set the test of the healthcheck, and raise a timeout too short for its `--wait`."""
    changes = [Change(init.name, ("healthcheck", "test"), test)]
    timeout = seconds(init.service.text("healthcheck", "timeout"))
    if PROBE[-1] in test and timeout is not None and timeout < PROBE_TIMEOUT:
        changes.append(Change(init.name, ("healthcheck", "timeout"), shown(PROBE_TIMEOUT)))
    return changes


def healthcheck(init: Init, stack: Stack, test: list[str], *, tmpfs: bool) -> list[Change]:
    """Return the changes that give `init` a healthcheck with this test and the recommended values.

    Args:
        init: the init service.
        stack: the stack, with the oldest engine to support.
        test: the test.
        tmpfs: the marker is on a tmpfs, so no stale one survives a restart.
    """
    service, waits = init.service, PROBE[-1] in test

    def change(field: str, value: object) -> Change:
        return Change(init.name, ("healthcheck", field), value, everywhere=True, first=True)

    changes = [replace(each, everywhere=True, first=True) for each in probe_with(init, test)]
    if init.probe.sight is Sight.DISABLED and service.value("healthcheck", "disable") is not None:
        changes.append(Change(init.name, ("healthcheck", "disable"), False, everywhere=True))
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
        # After a restart `test -f` sees a stale marker for some milliseconds; a second is safe.
        changes.append(change("start_interval", "500ms" if "inithold" in test or tmpfs else "1s"))
    elif given and not stack.start_interval:
        changes.append(change("start_interval", DELETE))
    return changes


def restart(init: Init) -> list[Change]:
    """Return the changes to the restart policy, or to `deploy.restart_policy`, which overrides `restart`.

    There it is `any`, as Swarm calls it; Compose makes it `always`, with which the engine refuses `max_attempts`.
    """
    service, deployed = init.service, ("deploy", "restart_policy", "condition")
    changes = []
    if service.value(*deployed[:-1]) is not None:
        changes += _set_everywhere(init, deployed, "any", {"any", "always", RESTART})
        attempts = (*deployed[:-1], "max_attempts")
        if service.value(*attempts) is not None:
            changes.append(Change(init.name, attempts, DELETE))
        if service.layers[0].tree.get(*deployed[:-1]) is not None:
            return changes
        # It comes with an override; without that, `restart` counts.
    return [*changes, *_set_everywhere(init, ("restart",), RESTART, {RESTART})]


def _set_everywhere(init: Init, path: tuple[str, ...], value: str, right: set[str]) -> list[Change]:
    written = [layer.tree.get(*path) for layer in init.service.layers]
    texts = {each.filled for each in written if isinstance(each, Scalar)}
    if init.service.text(*path) in right and not texts - {init.service.text(*path)}:
        return []
    return [Change(init.name, path, value, everywhere=True, first=path == ("restart",))]


def dependents(init: Init) -> list[Change]:
    """Make dependents that wait for `init` to complete wait for it to be healthy."""
    return [
        Change(entry.service.name, ("depends_on", init.name, "condition"), HEALTHY, everywhere=True)
        for entry in init.dependents
        if entry.awaits_end and entry.condition != HEALTHY
    ]


def add_healthcheck(init: Init, stack: Stack) -> list[Change]:
    """Add a healthcheck, if the marker is known."""
    if init.marker is None or "$" in init.marker:
        return []
    return healthcheck(init, stack, test_for(init), tmpfs=init.on_tmpfs(init.marker))


def await_healthy(entry: Dependency, init: Init, stack: Stack) -> list[Change]:
    """Make a dependent wait for `init` to be healthy; add a healthcheck to `init` if it has none."""
    blind = init.probe.sight in (Sight.NONE, Sight.DISABLED)
    added = add_healthcheck(init, stack) if blind else []
    if blind and not added:
        return []
    return [*added, Change(entry.service.name, ("depends_on", init.name, "condition"), HEALTHY, everywhere=True)]


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The facts of a plan that matter for the wiring.

    Args:
        file: the plan's file, or COMMAND_LINE if only the command line is known.
        limit: the longest the run may take by its timeouts, in seconds; 0 if it has none.
        locked: it has a `lock`.
        bounded: the limit is the plan's own `timeout`, which includes the waits of `--wait`.
    """

    file: str
    limit: float
    locked: bool
    bounded: bool = False


def read_plan(init: Init, stack: Stack) -> PlanFacts | None:
    """Read the plan that `init` runs; None if it cannot be found or read here.

    The waits of `--wait`, which run side by side, add to its limit.
    """
    if not init.command.inithold:
        return None
    facts = None if init.command.wrapped else _facts(init, stack)
    if not init.command.waits:
        return facts
    if facts is None:
        return PlanFacts(COMMAND_LINE, _READY, False)
    return facts if facts.bounded else replace(facts, limit=facts.limit + _READY)


def _facts(init: Init, stack: Stack) -> PlanFacts | None:
    name = init.command.plan or "inithold.yaml"
    if "$" in name or (":" in name and not name.endswith((".yaml", ".yml"))):
        return None
    try:
        file, text = _plan_file(init, stack, name)
        plan = yaml.safe_load(text)
    except (LookupError, DocumentError, yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(plan, dict):
        return None
    limit = seconds(str(plan.get("timeout") or ""))
    longest = limit if limit is not None else _longest(plan.get("steps"))
    return PlanFacts(file, longest, bool(plan.get("lock")), limit is not None)


def _plan_file(init: Init, stack: Stack, name: str) -> tuple[str, str]:
    """Return name and content of the plan's file; raises LookupError if there is none."""
    service = init.service
    inside = name if name.startswith("/") else f"{(service.text('working_dir') or '').rstrip('/')}/{name}"
    configs, given = stack.project.top.get("configs"), service.value("configs")
    source: str | None = None
    for item in given.items if isinstance(given, Sequence) else ():
        if isinstance(item, Scalar) and inside in (f"/{item.filled}", item.filled):
            source = item.filled
        if isinstance(item, Mapping):
            named, target = item.get("source"), item.get("target")
            if isinstance(named, Scalar) and isinstance(target, Scalar) and target.filled == inside:
                source = named.filled
    content = configs.get(source, "content") if configs is not None and source is not None else None
    if isinstance(content, Scalar):
        return name, content.filled
    paths = [host_path(service, inside)]
    file = configs.get(source, "file") if configs is not None and source is not None else None
    if isinstance(file, Scalar) and "$" not in file.filled:
        paths.append(file.place.source.folder / file.filled)
    context = stack.images.build_context(service)
    if context is not None and not name.startswith("/"):
        paths.append(context / name)
    for path in paths:
        if path is not None and path.is_file():
            return str(path), read_text(path, limit=_LARGEST)
    raise LookupError(name)


def _longest(steps: Any) -> float:
    """Return the time limit of the longest chain of steps; without `needs` a step follows the one above it."""
    ends: dict[str, float] = {}
    above = ""
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        if not isinstance(step, dict):
            continue
        needs = step.get("needs")
        before = needs if isinstance(needs, list) else [needs] if isinstance(needs, str) else [above]
        own = seconds(str(step.get("timeout") or ""))
        if own is None:
            own = _READY if str(step.get("uses")).endswith(".ready") else 0.0
        above = str(step.get("id") or f"step {number}")
        ends[above] = max((ends.get(str(need), 0.0) for need in before), default=0.0) + own
    return max(ends.values(), default=0.0)
