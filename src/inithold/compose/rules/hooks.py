"""Rules on hooks: `pre_start` (Compose 5.3) runs in a container before a service, `post_start` inside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from inithold.compose.finding import DELETE, Change, Finding, Severity, location_of
from inithold.compose.read.tree import Mapping, Scalar, Sequence, is_absent, plain
from inithold.compose.rules.commands import shortened
from inithold.compose.stack import wiring
from inithold.compose.stack.command import DEFAULT_MARKER, filled_words, has_no_words, words
from inithold.compose.stack.duration import shown
from inithold.compose.stack.hold import script
from inithold.compose.stack.image import escaped
from inithold.compose.stack.roles import HEALTHY, Wrap, mounts, replicas, restart_policy
from inithold.compose.stack.servers import GIVES_UP

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place
    from inithold.compose.stack.roles import Stack

_WORK = re.compile(
    r"\b(?:migrat\w*|seed\w*|init|initdb|initiali[sz]e|setup|bootstrap|provision|fixtures?|chown)\b"
    r"|\bcreate[-_ ]?(?:buckets?|topics?|queues?|users?|db|database|tables?|superuser)\b",
    re.I,
)
# The fields that a hook shares with its service.
_SHARED = ("environment", "env_file", "volumes", "networks", "secrets", "configs", "extra_hosts")


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of a service, as written in `value`."""

    service: Service
    value: Mapping

    @property
    def place(self) -> Place:
        """Where it is written."""
        return self.value.place

    @property
    def text(self) -> str:
        """Its command as one line."""
        return " ".join(filled_words(self.value.get("command")))

    @property
    def initializes(self) -> bool:
        """Whether its command does what init services do."""
        return bool(_WORK.search(self.text) or GIVES_UP.search(self.text))

    @property
    def runs_plan(self) -> bool:
        """Whether it runs a plan of inithold, which may have a lock."""
        return re.search(r"\binithold\s+run\b(?!.*\s--\s)", self.text) is not None

    def image(self, stack: Stack) -> str | None:
        """The name of its image: its own, or its service's."""
        own = self.value.get("image")
        if isinstance(own, Scalar) and own.data is not None:
            return None if "$" in own.filled else own.filled
        return stack.images.name(self.service)

    def field(self, name: str) -> Any:
        """Return a field of the hook, or of its service."""
        own, shared = plain(self.value.get(name)), plain(self.service.value(name))
        if name != "environment" or own is None:
            return shared if own is None else own
        if isinstance(own, list):
            pairs = (str(each).partition("=") for each in own)
            own = {key: value if separator else None for key, separator, value in pairs}
        return {**(shared or {}), **own}


def _hooks(service: Service, field: str) -> list[Hook]:
    listed = service.value(field)
    items = listed.items if isinstance(listed, Sequence) else []
    return [Hook(service, item) for item in items if isinstance(item, Mapping)]


def _all_hooks(stack: Stack, field: str) -> list[Hook]:
    return [hook for service in stack.project.services.values() for hook in _hooks(service, field)]


def shared_pre_start(stack: Stack) -> Iterator[Finding]:
    """Hooks that several services have, and run at the same time."""
    groups: dict[str, list[Hook]] = {}
    for hook in _all_hooks(stack, "pre_start"):
        key = [hook.image(stack), hook.field("entrypoint"), words(hook.value.get("command"))[0]]
        groups.setdefault(json.dumps(key, default=str), []).append(hook)
    for group in groups.values():
        if len({hook.service.name for hook in group}) < 2 or group[0].runs_plan:
            continue
        first, names = group[0], [hook.service.name for hook in group]
        changes: list[Change] = []
        # Compose 5.3 leaves out the entrypoint, 5.6 does not.
        inherited = is_absent(first.value.get("entrypoint")) and not has_no_words(
            first.service.value("entrypoint")
        )
        kept = (
            f"; the entrypoint of {names[0]} comes before its command, as with Compose 5.6.1" if inherited else ""
        )
        remedy, note = "`fix --wrap inithold` (or `--wrap shell`) turns it into one init service that holds", None
        if stack.wrap is not None:
            try:
                changes = _one_init(group, stack.wrap, stack)
                init, program = changes[0], "inithold" if stack.wrap == "inithold" else "sh"
                note = (
                    f"gained: {init.service} runs once for {', '.join(names)}, retried, with health and record, "
                    "and again after a reboot; lost: it no longer runs before each new container of theirs; "
                    f"its image {init.value['image']} must contain {program}{kept}"
                )
            except _ByHand as reason:
                remedy = f"turn it into one init service: {reason}"
        together = "" if any(stack.reaches(name) & set(names) for name in names) else " at the same moment"
        yield Finding(
            Severity.WARNING,
            f"the hook `{shortened(group[0].text)}` runs {len(names)} times{together}, for {', '.join(names)}, "
            "and again whenever one of them is recreated",
            location_of(group[0].place),
            names[0],
            changes=changes,
            remedy=f"{remedy}{kept}",
            note=note,
        )


def scaled_pre_start(stack: Stack) -> Iterator[Finding]:
    """Services with hooks and several replicas."""
    for service in stack.project.services.values():
        listed, count = _hooks(service, "pre_start"), replicas(service)
        own = [mount.target for mount in mounts(service) if mount.kind == "tmpfs" or not mount.source]
        if not listed or count < 2 or (listed[0].runs_plan and not own):
            continue
        missing = (
            f"only the first finds what it prepares in {own[0]}: each replica has its own"
            if own
            else "one that is added or started again later gets none"
        )
        yield Finding(
            Severity.WARNING if own else Severity.INFO,
            f"the hook of {service.name} runs once for {count} replicas: {missing}",
            location_of(listed[0].place),
            service.name,
            remedy="prepare in the hook only what the replicas share, the rest in each container's own command",
        )


def pre_start_per_replica(stack: Stack) -> Iterator[Finding]:
    """Hooks that run once for each replica."""
    for hook in _all_hooks(stack, "pre_start"):
        value = hook.value.get("per_replica")
        if isinstance(value, Scalar) and value.filled.lower() == "true":
            yield Finding(
                Severity.ERROR,
                f"Compose does not support per_replica: `up` refuses to start {hook.service.name}",
                location_of(value.place),
                hook.service.name,
                remedy="remove per_replica; what each container needs belongs in its own command",
            )


def pre_start_not_again(stack: Stack) -> Iterator[Finding]:
    """Services that the engine may restart without running their hooks."""
    for service in stack.project.services.values():
        listed, policy = _hooks(service, "pre_start"), restart_policy(service)
        if listed and policy in ("always", "unless-stopped", "on-failure") and not listed[0].runs_plan:
            yield Finding(
                Severity.INFO,
                f"with restart: {policy} the engine starts {service.name} again without its hook, after a reboot, "
                "too",
                location_of(listed[0].place),
                service.name,
                remedy="let the service wait by itself (`inithold wait`), or turn the hook into an init service; "
                "silence this rule if what the hook prepares survives a restart",
            )


def post_start_init(stack: Stack) -> Iterator[Finding]:
    """Hooks that initialize something inside a container that is already running."""
    for hook in _all_hooks(stack, "post_start"):
        if hook.initializes:
            yield Finding(
                Severity.WARNING,
                f"the program of {hook.service.name} runs beside this hook, not after it, and the engine does "
                "not run it again",
                location_of(hook.place),
                hook.service.name,
                remedy="turn it into an init service that holds, and make the others wait until it is healthy",
            )


class _ByHand(Exception):
    """It must be fixed by hand; the message says why."""


def _one_init(group: list[Hook], wrap: Wrap, stack: Stack) -> list[Change]:
    """Return the changes that replace a hook of several services by one init service that holds.

    Args:
        group: the same hook of several services.
        wrap: how to make it hold.
        stack: the stack.

    Raises:
        _ByHand: it must be done by hand.
    """
    first, sharing = group[0], {hook.service.name for hook in group}
    image, command = first.image(stack), words(first.value.get("command"))[0]
    differs = [
        key for key in _SHARED if key != "volumes" and len({json.dumps(hook.field(key)) for hook in group}) > 1
    ]
    if any(len(_hooks(hook.service, "pre_start")) > 1 for hook in group):
        raise _ByHand("its services have other hooks, too")
    if differs:
        raise _ByHand(f"its services differ in {differs[0]}, which the hook shares")
    if not command or image is None:
        raise _ByHand("its image has no name, or it has no command")
    if wrap is Wrap.INITHOLD and stack.images.lacks_inithold(image):
        raise _ByHand(f"the image {image} does not contain inithold")
    entrypoint = _entrypoint(first, image, stack)
    awaited: dict[str, Any] = {}
    for hook in reversed(group):
        awaited |= hook.field("depends_on") or {}
    awaited = {name: entry for name, entry in awaited.items() if name not in sharing}
    if any(stack.reaches(target) & sharing for target in awaited):
        raise _ByHand("what its services depend on depends on one of them")
    names = chain(["init"], (f"init-{number}" for number in count(2)))
    name = next(each for each in names if each not in stack.project.services)
    changes = [Change(name, (), _held(group, image, entrypoint, awaited, wrap))]
    for hook in group:
        changes.append(Change(hook.service.name, ("pre_start",), DELETE))
        changes.append(Change(hook.service.name, ("depends_on", name), {"condition": HEALTHY}))
    return changes


def _entrypoint(hook: Hook, image: str, stack: Stack) -> list[str]:
    """Return the entrypoint of a hook: its own, its service's (Compose 5.6.1), or its image's."""
    for given in (hook.value.get("entrypoint"), hook.service.value("entrypoint")):
        if given is not None and not is_absent(given):
            return [] if has_no_words(given) else words(given)[0]
    own_image = image == stack.images.name(hook.service)
    config = stack.images(hook.service) if own_image else stack.images.inspect(image)
    if config is None or config.entrypoint is None:
        raise _ByHand(f"the entrypoint of the image {image} is unknown")
    return list(escaped(config.entrypoint))


def _held(
    group: list[Hook], image: str, entrypoint: list[str], awaited: dict[str, Any], wrap: Wrap
) -> dict[str, Any]:
    """Return a service that does what the hook did, with all that the hook shared with its services."""
    first, shell = group[0], wrap is Wrap.SHELL
    command = words(first.value.get("command"))[0]
    service: dict[str, Any] = {"image": first.field("image") or image}
    if shell:
        service["entrypoint"] = ["sh", "-c", script(DEFAULT_MARKER, one_line=False), "sh", *entrypoint]
        service |= {"command": command, "init": True}
    elif entrypoint:
        service |= {"entrypoint": ["inithold", "run", "--", *entrypoint], "command": command}
    else:
        service["command"] = ["inithold", "run", "--", *command]
    service["restart"] = wiring.RESTART
    for key in ("user", "working_dir", "privileged", *_SHARED):
        value = first.field(key)
        if isinstance(value, list) and key == "volumes":
            value = [mount for mount in value if all(mount in (hook.field(key) or []) for hook in group)]
        if value:
            service[key] = value
    if awaited:
        service["depends_on"] = awaited
    service["healthcheck"] = {
        "test": ["CMD-SHELL", f"test -f {DEFAULT_MARKER}"] if shell else wiring.PROBE,
        "interval": wiring.INTERVAL,
        "timeout": "5s" if shell else shown(wiring.PROBE_TIMEOUT),
        "start_period": shown(wiring.START_PERIOD),
        "start_interval": "1s" if shell else "500ms",
    }
    return service
