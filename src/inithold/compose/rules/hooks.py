"""Rules about hooks: `pre_start` (Compose 5.3), a container before a service, and `post_start`, inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Change, Finding, Severity, location_of
from inithold.compose.read.tree import Scalar
from inithold.compose.rules.commands import shortened
from inithold.compose.stack.hooks import ByHand, hooks, one_init, shared_hooks
from inithold.compose.stack.roles import mounts, replicas, restart_policy

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack


def shared_pre_start(stack: Stack) -> Iterator[Finding]:
    """Hooks that several services have."""
    for group in shared_hooks(stack):
        if group[0].runs_plan:
            continue
        names = [hook.service.name for hook in group]
        changes: list[Change] = []
        remedy, note = "`fix --wrap inithold` (or `--wrap shell`) makes one init service of it, which holds", None
        if stack.wrap is not None:
            try:
                changes = one_init(group, stack.wrap, stack)
                init, program = changes[0], "inithold" if stack.wrap == "inithold" else "sh"
                note = (
                    f"gained: {init.service} runs once for {', '.join(names)}, retried, with health and record, "
                    "and again after a reboot; lost: it no longer runs before each new container of theirs; "
                    f"its image {init.value['image']} must contain {program}"
                )
            except ByHand as reason:
                remedy = f"make one init service of it: {reason}"
        yield Finding(
            Severity.WARNING,
            f"the hook `{shortened(group[0].text)}` runs {len(names)} times at the same moment, for "
            f"{', '.join(names)}, and again whenever one of them is recreated",
            location_of(group[0].place),
            names[0],
            changes=changes,
            remedy=remedy,
            note=note,
        )


def scaled_pre_start(stack: Stack) -> Iterator[Finding]:
    """Services with hooks and several replicas."""
    for service in stack.project.services.values():
        listed, count = hooks(service, "pre_start"), replicas(service)
        own = [mount.target for mount in mounts(service) if mount.kind == "tmpfs" or not mount.source]
        if not listed or count < 2 or (listed[0].runs_plan and not own):
            continue
        missing = (
            f"in {own[0]}, which each has for itself, at most the first finds what it prepares"
            if own
            else "one that is added or started again later gets none"
        )
        yield Finding(
            Severity.WARNING if own else Severity.INFO,
            f"the hook of {service.name} runs once for {count} replicas: {missing}",
            location_of(listed[0].place),
            service.name,
            remedy="prepare in it what the replicas share; what each has for itself, in its own command",
        )


def pre_start_per_replica(stack: Stack) -> Iterator[Finding]:
    """Hooks that are to run for each replica."""
    for hook in [hook for each in stack.project.services.values() for hook in hooks(each, "pre_start")]:
        value = hook.value.get("per_replica")
        if isinstance(value, Scalar) and value.filled.lower() == "true":
            yield Finding(
                Severity.ERROR,
                f"Compose does not support per_replica: `up` refuses to start {hook.service.name}",
                location_of(value.place),
                hook.service.name,
                remedy="remove per_replica; what each container needs belongs into its own command",
            )


def pre_start_not_again(stack: Stack) -> Iterator[Finding]:
    """Services with hooks that the engine may start again without them."""
    for service in stack.project.services.values():
        listed, policy = hooks(service, "pre_start"), restart_policy(service)
        if listed and policy in ("always", "unless-stopped", "on-failure") and not listed[0].runs_plan:
            yield Finding(
                Severity.INFO,
                f"with restart: {policy} the engine starts {service.name} again without its hook, after a reboot, "
                "too",
                location_of(listed[0].place),
                service.name,
                remedy="let the service wait by itself (`inithold wait`), or make an init service of the hook; "
                "silence this where what the hook prepares stays",
            )


def post_start_init(stack: Stack) -> Iterator[Finding]:
    """Hooks that initialize something in a container that runs already."""
    for hook in [hook for each in stack.project.services.values() for hook in hooks(each, "post_start")]:
        if hook.initializes:
            yield Finding(
                Severity.WARNING,
                f"the program of {hook.service.name} works beside this hook, not after it, and the engine does "
                "not run it again",
                location_of(hook.place),
                hook.service.name,
                remedy="make an init service of it that holds, and let the others wait for its health",
            )
