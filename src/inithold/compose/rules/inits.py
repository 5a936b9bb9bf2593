"""Rules on the init service itself: it is a one-shot, is not restarted, or runs more than once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, key_location, spot
from inithold.compose.rules.commands import shortened
from inithold.compose.rules.overrides import one_of, weakened_by
from inithold.compose.stack import wiring
from inithold.compose.stack.hold import make_hold
from inithold.compose.stack.roles import HEALTHY, STARTED, restart_policy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

_MEANS = {
    "no": "{name} stays down after a failure, and after a reboot its dependents come back without it",
    "on-failure": "{name} is started again after a failure, but not after a reboot: it exits 0 when it is stopped",
    "always": "{name} is started again after a failure, and after a reboot even where it was stopped by hand",
}


def one_shot_init(stack: Stack) -> Iterator[Finding]:
    """One-shots that dependents wait for."""
    for init in stack.inits.values():
        if init.held:
            continue
        names = [entry.service.name for entry in init.dependents if entry.awaits_end]
        healthy = [entry.service.name for entry in init.dependents if entry.condition == HEALTHY]
        again = "every `up` runs it again, and `up --wait` may fail"
        if names and init.never_completes:
            message = (
                f"{_wait(names)} for {init.name} to complete, but with restart: {restart_policy(init.service)} it "
                "is started again whenever it exits: it never completes, and `up` waits forever"
            )
        elif init.never_completes:
            message = (
                f"{init.name} exits when it is done, and restart: {restart_policy(init.service)} starts it again: "
                "its work is done again and again"
            )
        elif healthy and not names:
            message = (
                f"{init.name} exits when it is done, and {_wait(healthy)} for it to be healthy: `up` fails where "
                f"it exits before a probe has seen that; {again}"
            )
        else:
            waits = f" and {_wait(names)} for that" if names else ""
            message = f"{init.name} exits when it is done{waits}: {again}"
        changes, remedy, note = make_hold(init, stack)
        deployed = ("deploy", "restart_policy", "condition")
        where = spot(init.service, *(deployed if init.service.value(*deployed) is not None else ("restart",)))
        yield Finding(Severity.ERROR, message, where, init.name, changes=changes, remedy=remedy, note=note)


def _wait(names: Sequence[str]) -> str:
    return f"{names[0]} waits" if len(names) == 1 else f"{len(names)} services wait"


def unadopted_one_shot(stack: Stack) -> Iterator[Finding]:
    """Services named like one-shots that no other service waits for."""
    for init in stack.probable.values():
        # Without an image it is a fragment of a service in a file that was not loaded.
        whole = any(init.service.value(field) is not None for field in ("image", "build"))
        if init.service.value("profiles") is not None or not whole:
            continue
        changes, remedy, note = make_hold(init, stack)
        again = "every `up` runs it again, and `up --wait` exits 1 for it"
        if init.never_completes:
            again = f"with restart: {restart_policy(init.service)} its work is done again and again"
        yield Finding(
            Severity.WARNING,
            f"nobody waits until {init.name} is done, which then exits: {again}",
            key_location(init.service.layers[0].written),
            init.name,
            changes=changes,
            unsafe=True,
            remedy=remedy,
            note=note,
        )


def masked_failure(stack: Stack) -> Iterator[Finding]:
    """Inits that dependents wait for and whose command succeeds, or writes its marker, though its work fails."""
    for init in stack.all_inits:
        end = init.command.masked_by
        if end is None or all(entry.condition == STARTED for entry in init.dependents):
            continue
        marks = any(path in end for path in init.command.marks)
        then = f"writes its marker (`{shortened(end)}`)" if marks else f"ends in `{shortened(end)}`"
        yield Finding(
            Severity.WARNING,
            f"the command of {init.name} {then} even if its work fails: its dependents start all the same",
            spot(init.service, "command" if init.service.value("command") is not None else "entrypoint"),
            init.name,
            remedy="let its exit code tell: begin the script with `set -e`, and end it with the work",
        )


def init_restart_policy(stack: Stack) -> Iterator[Finding]:
    """Held inits with a restart policy other than `unless-stopped`."""
    for init in stack.held:
        service = init.service
        deploys = service.value("deploy", "restart_policy") is not None
        path = ("deploy", "restart_policy", "condition") if deploys else ("restart",)
        written, policy = service.text(*path), restart_policy(service) or "no"
        overridden = weakened_by(service, ("restart",), one_of("unless-stopped")) is not None
        if not overridden and policy in _MEANS and written != "any":
            means = _MEANS[policy].format(name=init.name)
            if not init.sure:
                means = f"if {init.name} stays up when it is done, as its healthcheck says, {means}"
            yield Finding(
                Severity.WARNING,
                f"{f'restart: {policy}' if written else 'no restart policy'}: {means}",
                spot(service, *path),
                init.name,
                changes=wiring.restart(init),
            )


def replicated_init(stack: Stack) -> Iterator[Finding]:
    """Inits with several replicas and no known lock."""
    for init in stack.inits.values():
        counts = {path: init.service.text(*path) or "" for path in (("deploy", "replicas"), ("scale",))}
        many = {path: int(count) for path, count in counts.items() if count.isdigit() and int(count) > 1}
        plan = wiring.read_plan(init, stack) if many else None
        if not many or (plan is not None and plan.locked):
            continue
        unknown = (
            init.command.inithold
            and not init.command.wrapped
            and (plan is None or plan.file == wiring.COMMAND_LINE)
        )
        unless = " unless its plan, which is not found from here, has a lock" if unknown else ""
        path, count = next(iter(many.items()))
        yield Finding(
            Severity.ERROR,
            f"{count} replicas of {init.name} run the initialization at the same time{unless}",
            spot(init.service, *path),
            init.name,
            changes=[Change(init.name, path, 1) for path in many],
            unsafe=True,
        )
