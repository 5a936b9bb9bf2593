"""Which services are init services, who waits on them, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.finding import spot
from inithold.compose.read.merge import Mount, read_mount
from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.command import DEFAULT_MARKER, Command, read_command, words
from inithold.compose.stack.image import ImageReader, argv
from inithold.compose.stack.probe import Probe, Sight, read_probe
from inithold.compose.stack.servers import GIVES_UP, server_of

if TYPE_CHECKING:
    from inithold.compose.finding import Location
    from inithold.compose.read.project import Project, Service

COMPLETED, HEALTHY, STARTED = "service_completed_successfully", "service_healthy", "service_started"
_NAMED = re.compile(
    r"(?:^|[-_.])(?:init(?:iali[sz]er?)?|initdb|(?:db|database)?(?:init|setup|migrat\w*)|bootstrap(?:per)?|seed(?:er|ing|s)?"
    r"|provision\w*|prepare|pre-?start|configurator|configure|installer|(?:create|make)[-_]?(?:buckets?|topics?|queues?|db)"
    r"|fixtures|permissions|chown)(?:[-_.\d]|$)|^create[-_.]",
    re.I,
)
_RUNNING = re.compile(
    r"(?:^|[-_.])(?:workers?|servers?|api|web|ui|gui|frontend|backend|daemon|scheduler|consumers?|exporter|proxy|watch(?:er)?"
    r"|dashboard|beat)(?:[-_.\d]|$)",
    re.I,
)
_RUN_ON = ("server", "serve", "daemon", "runserver")
"""Subcommands of programs that run on: `prefect server start`, `ipfs daemon`."""
_STARTED_AGAIN = ("always", "unless-stopped")
_SEPARATOR = re.compile(r"&&|[;\n]")
_LAST = re.compile(r"(?:echo|printf|exit|true|touch)\b")
_ALIVE = re.compile(r"heart[-_]?beat|alive|liveness|(?:^|[-_./])(?:beat|healthy?)(?:$|[-_.])", re.I)
_DONE = re.compile(r"init|migrat|setup|bootstrap|seed|provision|prepared?|complete|done|finished", re.I)
_SERVER_FILES = (".pid", ".sock", ".lock")


class Wrap(StrEnum):
    """How to make a one-shot's command hold."""

    INITHOLD = "inithold"
    SHELL = "shell"


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
        return found.filled if isinstance(found, Scalar) and found.data is not None else STARTED

    @property
    def location(self) -> Location:
        """Where the condition is written."""
        return spot(self.service, "depends_on", self.target, "condition")

    @property
    def awaits_end(self) -> bool:
        """Does it wait for the target to complete, in the merged stack or before an override weakened that?"""
        path = ("depends_on", self.target, "condition")
        values = [self.entry.get("condition"), *(layer.tree.get(*path) for layer in self.service.layers)]
        return any(isinstance(value, Scalar) and value.filled == COMPLETED for value in values)

    def flag(self, name: str, default: bool) -> bool:
        """The value of `required` or `restart`."""
        found = self.entry.get(name)
        return found.filled.lower() == "true" if isinstance(found, Scalar) and found.data is not None else default


@dataclass(slots=True, eq=False)
class Init:
    """An init service.

    Args:
        service: the service.
        command: what it runs, as far as known.
        probe: its healthcheck.
        held: True where it stays up after its work, False where it is a one-shot.
        dependents: who waits on it.
        sure: False where its name alone says that it is one, or its healthcheck alone that it stays up; a safe
            fix leaves such a service as it is.
    """

    service: Service
    command: Command
    probe: Probe
    held: bool
    dependents: list[Dependency]
    sure: bool = True

    @property
    def name(self) -> str:
        """Its service name."""
        return self.service.name

    @property
    def never_completes(self) -> bool:
        """Is it a one-shot that is started again whenever it exits?"""
        return not self.held and restart_policy(self.service) in _STARTED_AGAIN

    @property
    def marker(self) -> str | None:
        """The marker its command writes; None where that cannot be told."""
        return self.command.written_marks[0] if self.command.written_marks else None

    def on_tmpfs(self, path: str) -> bool:
        """Does `path` lie on a tmpfs, so that no restart leaves an old one behind?"""
        if path.startswith("/dev/shm/") and self.service.value("ipc") is None:  # noqa: S108 - in the container
            return True
        listed = self.service.value("tmpfs")
        items = listed.items if isinstance(listed, Sequence) else []
        roots = [item.filled.partition(":")[0] for item in items if isinstance(item, Scalar)]
        roots += [mount.target for mount in mounts(self.service) if mount.kind == "tmpfs"]
        return any(path.startswith(f"{root.rstrip('/')}/") for root in roots)

    @property
    def probed_path(self) -> str:
        """The marker its healthcheck looks at."""
        return self.probe.path or self.service.variable("INITHOLD_MARKER") or DEFAULT_MARKER


@dataclass(slots=True, eq=False)
class Stack:
    """What the rules look at.

    Args:
        project: the merged stack.
        inits: its init services, by name, whether they hold for sure or probably.
        images: reads what an image runs: its Dockerfile, and, where the command may ask it, an engine.
        engine: major version of the oldest Docker Engine to be supported, None for a current one.
        dependencies: the entries of each service's `depends_on`.
        wrap: how to make a one-shot's command hold, None where that was not asked for.
        probable: services that are probably init services: named like one, and nothing but the name says so.
    """

    project: Project
    inits: dict[str, Init]
    images: ImageReader
    engine: int | None = None
    dependencies: dict[str, list[Dependency]] = field(default_factory=dict)
    wrap: Wrap | None = None
    probable: dict[str, Init] = field(default_factory=dict)

    @property
    def held(self) -> list[Init]:
        """The init services that stay up after their work."""
        return [init for init in self.inits.values() if init.held]

    @property
    def all_inits(self) -> list[Init]:
        """Those in `inits`, and those that only probably are init services."""
        return [*self.inits.values(), *self.probable.values()]

    @property
    def health_awaited(self) -> dict[str, list[Dependency]]:
        """Services of the stack that others wait for to be healthy, and who does."""
        result: dict[str, list[Dependency]] = {}
        for entry in [entry for entries in self.dependencies.values() for entry in entries]:
            if entry.condition == HEALTHY and entry.target in self.project.services:
                result.setdefault(entry.target, []).append(entry)
        return result

    @property
    def start_interval(self) -> bool:
        """Does every engine to be supported know `start_interval`?"""
        return self.engine is None or self.engine >= 25

    def waits_on(self, name: str, target: str) -> bool:
        """Does `name` start only after `target` is done, directly or through what it depends on?"""
        return any(
            entry.target == target and entry.condition != STARTED
            for each in (name, *self.reaches(name))
            for entry in self.dependencies.get(each, ())
        )

    def reaches(self, name: str) -> set[str]:
        """Everything `name` depends on, directly or not."""
        result: set[str] = set()
        todo = [name]
        while todo:
            for dependency in self.dependencies.get(todo.pop(), ()):
                if dependency.target not in result:
                    result.add(dependency.target)
                    todo.append(dependency.target)
        return result


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


def read_stack(project: Project, engine: int | None = None, *, images: ImageReader | None = None) -> Stack:
    """Find the init services of a stack.

    Args:
        project: the merged stack.
        engine: major version of the oldest Docker Engine to be supported, None for a current one.
        images: reads what images run; Dockerfiles alone where none is given.
    """
    entries = {name: dependencies(service) for name, service in project.services.items()}
    dependents: dict[str, list[Dependency]] = {}
    for listed in entries.values():
        for dependency in listed:
            dependents.setdefault(dependency.target, []).append(dependency)
    stack = Stack(project, {}, images or ImageReader(project, engine=False), engine, entries)
    for name, service in project.services.items():
        complete = argv(service, stack.images.dockerfile(service)).words
        init = _read_init(service, read_command(service, complete), dependents.get(name, []))
        if init is not None:
            (stack.inits if init.sure or init.held else stack.probable)[name] = init
    return stack


def _read_init(service: Service, command: Command, dependents: list[Dependency]) -> Init | None:
    """The judgement what an init service is; check, fix and new go by it.

    For sure: it is awaited as completed; or it runs `inithold run`; or it stays up after it wrote a marker; or
    its health check looks at one, and its command is known to end or its policy starts it again; or it is named
    like an init service, has dependents, and its command or its policy lets it end. Probably: its health check
    looks at a marker, and nothing says whether it stays up; or it is named like one and ends by itself, as far as
    can be told; with a policy that starts it again, only where its command is known to end.
    """
    probe, policy = read_probe(service.value("healthcheck")), restart_policy(service)
    named, restarts = named_for_init(service.name), policy in _STARTED_AGAIN
    completed = any(dependency.awaits_end for dependency in dependents)
    held, ends = Init(service, command, probe, True, dependents), _ends(command)
    if command.inithold and not command.once:
        return held
    if command.sleeps:
        marks = any(not _ALIVE.search(path) for path in command.marks)
        return held if marks or completed or (dependents and named) or _shows_end(service, named=True) else None
    if not command.inithold and not command.dropped and (restarts or not completed) and dependents:
        runs_on = _RUNNING.search(service.name) is not None and not completed
        if not runs_on and _shows_end(service, named=named):
            sure = ends or restarts or probe.sight is Sight.INITHOLD
            return replace(held, held=not ends, sure=sure)
    if completed:
        return replace(held, held=False)
    # What has ports, or a health check of its own, stays up, and so does what a server's image runs by itself.
    serves = (
        any(service.value(field) is not None for field in ("ports", "expose"))
        or any(word in _RUN_ON for word in command.argv[:3])
        or (server_of(service) is not None and not command.argv)
        or probe.sight not in (Sight.NONE, Sight.DISABLED, Sight.MARKER, Sight.INITHOLD)
    )
    if not command.inithold and (not named or (restarts and not ends) or serves):
        return None
    return replace(
        held, held=False, sure=bool(dependents) and not restarts and (ends or policy in ("no", "on-failure"))
    )


def _ends(command: Command) -> bool:
    """Is it known to end by itself, from the last of what it does?"""
    last = next((part for each in reversed(_SEPARATOR.split(command.text)) if (part := each.strip())), "")
    return GIVES_UP.search(last) is not None or _LAST.match(last) is not None


def named_for_init(name: str) -> bool:
    """Is this a name that people give to init services?"""
    return _NAMED.search(name) is not None and _RUNNING.search(name) is None


def restart_policy(service: Service) -> str:
    """When the engine starts it again: `no`, `on-failure`, `always` or `unless-stopped`; empty for no word on it.

    `deploy.restart_policy` decides over `restart`, and its `any` is `always`: after Compose's `getRestartPolicy`.
    """
    if service.value("deploy", "restart_policy") is not None:
        condition = service.text("deploy", "restart_policy", "condition") or ""
        return {"none": "no", "": "no", "any": "always"}.get(condition, condition)
    return (service.text("restart") or "").partition(":")[0]


def replicas(service: Service) -> int:
    """How many containers of it `up` starts."""
    counts = [service.text(*path) or "" for path in (("deploy", "replicas"), ("scale",))]
    return max((int(count) for count in counts if count.isdigit()), default=1)


def _shows_end(service: Service, *, named: bool) -> bool:
    """Does its health check, in some file, look at a marker that says that its work is done?"""
    for probe in [read_probe(layer.tree.get("healthcheck")) for layer in service.layers]:
        if probe.sight is Sight.INITHOLD:
            return True
        # Servers are probed by files, too (`test -f /run/nginx.pid`), and workers by one that says that they live.
        path = probe.path or ""
        file = probe.sight is Sight.MARKER and not path.endswith(_SERVER_FILES) and service.value("ports") is None
        if file and not _ALIVE.search(path) and (named or _DONE.search(path)):
            return True
    return False


def is_gate(service: Service) -> bool:
    """Does the service wait for the environment by itself, with `inithold wait`?"""
    argv = [*words(service.value("entrypoint"))[0], *words(service.value("command"))[0]]
    return re.search(r"\binithold\s+wait\b", " ".join(argv)) is not None


def host_path(service: Service, path: str) -> Path | None:
    """Where a file of the container lies on this machine, through a bind mount; None where it does not."""
    for mount in mounts(service):
        if mount.kind == "bind" and mount.holds(path) and "$" not in mount.source:
            inside = path[len(mount.target.rstrip("/")) :].lstrip("/")
            base = (mount.place.source.folder / Path(mount.source).expanduser()).resolve()
            return base / inside if inside else base
    return None
