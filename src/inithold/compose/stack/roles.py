"""Which services are init services, who waits on them, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.read.mounts import Mount, read_mount
from inithold.compose.read.tree import Mapping, Scalar, Sequence, Value
from inithold.compose.stack.command import DEFAULT_MARKER, Command, read_command, words
from inithold.compose.stack.probe import Probe, Sight, read_probe
from inithold.compose.stack.variables import variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from inithold.compose.read.project import Project, Service
    from inithold.compose.stack.image import ImageConfig
    from inithold.compose.stack.wrap import Wrap

COMPLETED, HEALTHY, STARTED = "service_completed_successfully", "service_healthy", "service_started"
_NAMED = re.compile(r"(?:^|[-_.])(?:init|setup|migrat\w*|bootstrap|seed|provision\w*|prepare)(?:[-_.\d]|$)", re.I)
_RESTARTING = ("always", "unless-stopped")


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """One entry of a service's `depends_on`.

    Args:
        service: the dependent.
        target: name of what it waits on.
        entry: the entry as merged.
    """

    service: Service
    target: str
    entry: Mapping

    @property
    def condition(self) -> str:
        """What is waited for; `service_started` where nothing is said."""
        found = self.entry.get("condition")
        return found.text if isinstance(found, Scalar) and found.data is not None else STARTED

    @property
    def awaits_end(self) -> bool:
        """Does it wait for the target to complete, in the merged stack or before an override weakened that?"""
        path = ("depends_on", self.target, "condition")
        values = [self.entry.get("condition"), *(layer.tree.get(*path) for layer in self.service.layers)]
        return any(isinstance(value, Scalar) and value.text == COMPLETED for value in values)

    def flag(self, name: str, default: bool) -> bool:
        """The value of `required` or `restart`."""
        found = self.entry.get(name)
        return found.text.lower() == "true" if isinstance(found, Scalar) and found.data is not None else default


@dataclass(slots=True, eq=False)
class Init:
    """An init service.

    Args:
        service: the service.
        command: what it runs, as far as known.
        probe: its healthcheck.
        held: True where it stays up after its work, False where it is a one-shot.
        dependents: who waits on it.
    """

    service: Service
    command: Command
    probe: Probe
    held: bool
    dependents: list[Dependency]

    @property
    def name(self) -> str:
        """Its service name."""
        return self.service.name

    @property
    def marker(self) -> str | None:
        """The marker its command writes; None where that cannot be told."""
        return self.command.marks[0] if self.command.marks else None

    def on_tmpfs(self, path: str) -> bool:
        """Does `path` lie on a tmpfs, so that no restart leaves an old one behind?"""
        if path.startswith("/dev/shm/") and self.service.value("ipc") is None:  # noqa: S108 - in the container
            return True
        listed = self.service.value("tmpfs")
        roots = (
            [item.text.partition(":")[0] for item in listed.items if isinstance(item, Scalar)]
            if isinstance(listed, Sequence)
            else []
        )
        roots += [mount.target for mount in mounts(self.service) if mount.kind == "tmpfs"]
        return any(path.startswith(f"{root.rstrip('/')}/") for root in roots)

    @property
    def probed_path(self) -> str:
        """The marker its healthcheck looks at."""
        return self.probe.path or variable(self.service, "INITHOLD_MARKER") or DEFAULT_MARKER


@dataclass(slots=True, eq=False)
class Stack:
    """What the rules look at.

    Args:
        project: the merged stack.
        inits: its init services, by name.
        engine: major version of the oldest Docker Engine to be supported, None for a current one.
        dependencies: the entries of each service's `depends_on`.
        wrap: how to make a one-shot's command hold, None where that was not asked for.
        images: reads what an image runs, None where that was not asked for.
    """

    project: Project
    inits: dict[str, Init]
    engine: int | None = None
    dependencies: dict[str, list[Dependency]] = field(default_factory=dict)
    wrap: Wrap | None = None
    images: Callable[[Service], ImageConfig | None] | None = None

    @property
    def start_interval(self) -> bool:
        """Does every engine to be supported know `start_interval`?"""
        return self.engine is None or self.engine >= 25

    def waits_on(self, name: str, target: str) -> bool:
        """Does `name` start only after `target` is done, directly or through what it depends on?"""
        seen: set[str] = set()
        todo = [name]
        while todo:
            current = todo.pop()
            for dependency in self.dependencies.get(current, ()):
                if dependency.target == target and dependency.condition != STARTED:
                    return True
                if dependency.target not in seen:
                    seen.add(dependency.target)
                    todo.append(dependency.target)
        return False

    def reaches(self, name: str) -> set[str]:
        """Everything `name` depends on, directly or not."""
        seen: set[str] = set()
        todo = [name]
        while todo:
            for dependency in self.dependencies.get(todo.pop(), ()):
                if dependency.target not in seen:
                    seen.add(dependency.target)
                    todo.append(dependency.target)
        return seen


def dependencies(service: Service) -> list[Dependency]:
    """The entries of a service's `depends_on`."""
    value = service.value("depends_on")
    if not isinstance(value, Mapping):
        return []
    entries = value.entries.items()
    return [Dependency(service, name, entry) for name, entry in entries if isinstance(entry, Mapping)]


def mounts(service: Service) -> list[Mount]:
    """What a service mounts."""
    listed = service.value("volumes")
    if not isinstance(listed, Sequence):
        return []
    return [mount for item in listed.items if (mount := read_mount(item)) is not None]


def read_stack(project: Project, engine: int | None = None) -> Stack:
    """Find the init services of a stack."""
    waiting = {name: dependencies(service) for name, service in project.services.items()}
    dependents: dict[str, list[Dependency]] = {}
    for entries in waiting.values():
        for dependency in entries:
            dependents.setdefault(dependency.target, []).append(dependency)
    stack = Stack(project, {}, engine, waiting)
    for name, service in project.services.items():
        init = _read_init(service, dependents.get(name, []))
        if init is not None:
            stack.inits[name] = init
    return stack


def _read_init(service: Service, dependents: list[Dependency]) -> Init | None:
    command = read_command(service)
    probe = read_probe(service.value("healthcheck"))
    completed = any(dependency.awaits_end for dependency in dependents)
    if _holds(service, command, probe, dependents, completed):
        return Init(service, command, probe, True, dependents)
    return Init(service, command, probe, False, dependents) if completed else None


def _holds(
    service: Service, command: Command, probe: Probe, dependents: list[Dependency], completed: bool
) -> bool:
    if command.inithold:
        return not command.once
    if command.sleeps:
        looks = probe.sight in (Sight.MARKER, Sight.INITHOLD)
        return bool(command.marks) or looks or completed or (bool(dependents) and named_for_init(service.name))
    if completed and service.text("restart") not in _RESTARTING:
        return False
    return (
        bool(dependents)
        and not command.dropped
        and any(_looks_at_marker(layer.tree, service) for layer in service.layers)
    )


def named_for_init(name: str) -> bool:
    """Is this a name that people give to init services?"""
    return _NAMED.search(name) is not None


def _looks_at_marker(tree: Mapping, service: Service) -> bool:
    probe = read_probe(tree.get("healthcheck"))
    if probe.sight is Sight.INITHOLD:
        return True
    if probe.sight is not Sight.MARKER or service.value("ports") is not None:
        # Servers are probed by files, too: `test -f /run/nginx.pid`.
        return False
    return not (probe.path or "").endswith((".pid", ".sock", ".lock"))


def is_gate(service: Service) -> bool:
    """Does the service wait for the environment by itself, with `inithold wait`?"""
    argv = [*words(service.value("entrypoint"))[0], *words(service.value("command"))[0]]
    return re.search(r"\binithold\s+wait\b", " ".join(argv)) is not None


def is_healthy(value: Value | None) -> bool:
    """Is this condition `service_healthy`?"""
    return isinstance(value, Scalar) and value.text == HEALTHY


def is_awaited(value: Value | None) -> bool:
    """Is this condition one that waits for more than a start?"""
    return isinstance(value, Scalar) and value.text in (HEALTHY, COMPLETED)


def is_unless_stopped(value: Value | None) -> bool:
    """Is this restart policy `unless-stopped`?"""
    return isinstance(value, Scalar) and value.text == "unless-stopped"


def host_path(service: Service, path: str) -> Path | None:
    """Where a file of the container lies on this machine, through a bind mount; None where it does not."""
    for mount in mounts(service):
        if mount.kind == "bind" and mount.holds(path) and "$" not in mount.source:
            inside = path[len(mount.target.rstrip("/")) :].lstrip("/")
            base = (mount.place.source.folder / Path(mount.source).expanduser()).resolve()
            return base / inside if inside else base
    return None
