"""Finds the init services of a stack and who waits for them."""

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
from inithold.compose.stack.image import ImageReader, argv, tool_words
from inithold.compose.stack.probe import Probe, Sight, read_probe
from inithold.compose.stack.servers import GIVES_UP, PREPARES, host_names, server_of

if TYPE_CHECKING:
    from inithold.compose.finding import Location
    from inithold.compose.read.project import Project, Service

COMPLETED, HEALTHY, STARTED = "service_completed_successfully", "service_healthy", "service_started"
_NAMED = re.compile(
    r"(?:^|[-_.])(?:init(?:iali[sz]er?)?|initdb|(?:db|database)?(?:init|setup|migrat\w*)|bootstrap(?:per)?|seed(?:er|ing|s)?"
    r"|provision\w*|prepare|pre-?start|configurator|configure|installer|(?:create|make)[-_]?(?:buckets?|topics?|queues?|db)"
    r"|(?:buckets?|topics?|queues?|db|database|users?|schema)[-_]?(?:create|creator|creation)|(?:db|schema)[-_](?:upgrade|push)"
    r"|fixtures|permissions|chown)(?:[-_.\d]|$)|(?:^|[-_.])create[-_.]",
    re.I,
)
_RUNNING = re.compile(
    r"(?:^|[-_.])(?:workers?|servers?|api|web|ui|gui|frontend|backend|daemon|scheduler|consumers?|exporter|proxy|watch(?:er)?"
    r"|dashboard|beat)(?:[-_.\d]|$)",
    re.I,
)
_RUN_ON = ("server", "serve", "daemon", "runserver")
"""Subcommands that start a server: `prefect server start`, `ipfs daemon`."""
_STARTED_AGAIN = ("always", "unless-stopped")
_SEPARATOR = re.compile(r"&&|[;\n]")
_LAST = re.compile(r"(?:echo|printf|exit|true|touch|sleep)\b")
_ALIVE = re.compile(r"heart[-_]?beat|alive|liveness|(?:^|[-_./])(?:beat|healthy?)(?:$|[-_.])", re.I)
_DONE = re.compile(r"init|migrat|setup|bootstrap|seed|provision|prepared?|complete|done|finished", re.I)
_SERVER_FILES = (".pid", ".sock", ".lock")


class Wrap(StrEnum):
    """How `fix --wrap` makes a one-shot's command hold."""

    INITHOLD = "inithold"
    SHELL = "shell"


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """One entry of a service's `depends_on`.

    Args:
        service: the dependent.
        target: the name of the service it waits for.
        entry: the merged entry.
    """

    service: Service
    target: str
    entry: Mapping

    @property
    def condition(self) -> str:
        """The condition; `service_started` by default."""
        found = self.entry.get("condition")
        return found.filled if isinstance(found, Scalar) and found.data is not None else STARTED

    @property
    def short(self) -> bool:
        """Whether it is an item of a list, which implies the condition."""
        condition = self.entry.get("condition")
        return isinstance(condition, Scalar) and condition.implied

    @property
    def location(self) -> Location:
        """Where the condition is written."""
        return spot(self.service, "depends_on", self.target, "condition")

    @property
    def awaits_end(self) -> bool:
        """Whether it waits for the target to complete, in the merged stack or in any of the files."""
        path = ("depends_on", self.target, "condition")
        values = [self.entry.get("condition"), *(layer.tree.get(*path) for layer in self.service.layers)]
        return any(isinstance(value, Scalar) and value.filled == COMPLETED for value in values)

    def flag(self, name: str, default: bool) -> bool:
        """Return the value of `required` or `restart`."""
        found = self.entry.get(name)
        return found.filled.lower() == "true" if isinstance(found, Scalar) and found.data is not None else default


@dataclass(slots=True, eq=False)
class Init:
    """An init service.

    Args:
        service: the service.
        command: what it runs, as far as known.
        probe: its healthcheck.
        held: it stays up after its work; otherwise it is a one-shot.
        dependents: who waits for it.
        sure: False if only its name or command makes it an init service, or only its healthcheck suggests that it
            stays up; safe fixes leave such a service alone.
    """

    service: Service
    command: Command
    probe: Probe
    held: bool
    dependents: list[Dependency]
    sure: bool = True

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def never_completes(self) -> bool:
        """Whether it is a one-shot that the engine restarts whenever it exits."""
        return not self.held and restart_policy(self.service) in _STARTED_AGAIN

    @property
    def marker(self) -> str | None:
        """The marker that its command writes; None if unknown."""
        return self.command.written_marks[0] if self.command.written_marks else None

    def on_tmpfs(self, path: str) -> bool:
        """Whether `path` is on a tmpfs, so that no stale file survives a restart."""
        if path.startswith("/dev/shm/") and self.service.value("ipc") is None:  # noqa: S108 - in the container
            return True
        listed = self.service.value("tmpfs")
        items = listed.items if isinstance(listed, Sequence) else []
        roots = [item.filled.partition(":")[0] for item in items if isinstance(item, Scalar)]
        roots += [mount.target for mount in mounts(self.service) if mount.kind == "tmpfs"]
        return any(path.startswith(f"{root.rstrip('/')}/") for root in roots)

    @property
    def probed_path(self) -> str:
        """The marker that its healthcheck looks at."""
        return self.probe.path or self.service.variable("INITHOLD_MARKER") or DEFAULT_MARKER


@dataclass(slots=True, eq=False)
class Stack:
    """A stack as the rules see it.

    Args:
        project: the merged stack.
        inits: its init services, by name.
        images: reads what an image runs, from its Dockerfile or, if the command may ask one, an engine.
        engine: major version of the oldest Docker Engine to support; None for a current one.
        dependencies: the `depends_on` entries of each service.
        wrap: how to make a one-shot's command hold; None without `--wrap`.
        probable: probable init services: only their names or commands suggest it.
        hosts: the services by the host names that they have beside their own.
    """

    project: Project
    inits: dict[str, Init]
    images: ImageReader
    engine: int | None = None
    dependencies: dict[str, list[Dependency]] = field(default_factory=dict)
    wrap: Wrap | None = None
    probable: dict[str, Init] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def held(self) -> list[Init]:
        """The init services that hold."""
        return [init for init in self.inits.values() if init.held]

    @property
    def all_inits(self) -> list[Init]:
        """The certain and the probable init services."""
        return [*self.inits.values(), *self.probable.values()]

    @property
    def health_awaited(self) -> dict[str, list[Dependency]]:
        """The services that others wait for to be healthy, and the entries that do."""
        result: dict[str, list[Dependency]] = {}
        for entry in [entry for entries in self.dependencies.values() for entry in entries]:
            if entry.condition == HEALTHY and entry.target in self.project.services:
                result.setdefault(entry.target, []).append(entry)
        return result

    @property
    def start_interval(self) -> bool:
        """Whether every engine to support has `start_interval`."""
        return self.engine is None or self.engine >= 25

    def waits_on(self, name: str, target: str) -> bool:
        """Whether `name` starts only after `target` is done or healthy, directly or through its dependencies."""
        return any(
            entry.target == target and entry.condition != STARTED
            for each in (name, *self.reaches(name))
            for entry in self.dependencies.get(each, ())
        )

    def reaches(self, name: str) -> set[str]:
        """Return everything that `name` depends on, directly or not."""
        result: set[str] = set()
        todo = [name]
        while todo:
            for dependency in self.dependencies.get(todo.pop(), ()):
                if dependency.target not in result:
                    result.add(dependency.target)
                    todo.append(dependency.target)
        return result


def dependencies(service: Service) -> list[Dependency]:
    """Return the entries of a service's `depends_on`."""
    value = service.value("depends_on")
    if not isinstance(value, Mapping):
        return []
    entries = value.entries.items()
    return [Dependency(service, name, entry) for name, entry in entries if isinstance(entry, Mapping)]


def mounts(service: Service) -> list[Mount]:
    """Return the mounts of a service."""
    listed = service.value("volumes")
    if not isinstance(listed, Sequence):
        return []
    return [mount for item in listed.items if (mount := read_mount(item)) is not None]


def read_stack(project: Project, engine: int | None = None, *, images: ImageReader | None = None) -> Stack:
    """Find the init services of a stack.

    Args:
        project: the merged stack.
        engine: major version of the oldest Docker Engine to support; None for a current one.
        images: reads what images run; by default from Dockerfiles only.
    """
    entries = {name: dependencies(service) for name, service in project.services.items()}
    dependents: dict[str, list[Dependency]] = {}
    for listed in entries.values():
        for dependency in listed:
            dependents.setdefault(dependency.target, []).append(dependency)
    stack = Stack(project, {}, images or ImageReader(project, engine=False), engine, entries)
    for name, service in project.services.items():
        stack.hosts |= dict.fromkeys(host_names(service), name)
        complete = argv(service, stack.images.dockerfile(service)).words or tool_words(service)
        init = _read_init(service, read_command(service, complete), dependents.get(name, []))
        if init is not None:
            (stack.inits if init.sure or init.held else stack.probable)[name] = init
    return stack


def _read_init(service: Service, command: Command, dependents: list[Dependency]) -> Init | None:
    """Decide whether a service is an init service; check, fix and new all go by this.

    It certainly is if
    - others wait for it to complete, or
    - it runs `inithold run`, or
    - it writes a marker and stays up, or
    - its healthcheck looks at a marker, and its command is known to end or its policy restarts it, or
    - it has the name or command of one and dependents, and its command or policy lets it end.

    It probably is if
    - its healthcheck looks at a marker, and nothing shows whether it stays up, or
    - it has the name or command of one and seems to end by itself; with a policy that restarts it, its command
      must be known to end.
    """
    probe, policy = read_probe(service.value("healthcheck")), restart_policy(service)
    named = named_for_init(service.name) or PREPARES.search(_last_part(command)) is not None
    restarts = policy in _STARTED_AGAIN
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
    # A service with ports or a healthcheck without a marker stays up, and so does a server image's own command.
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
    """Whether its last command is known to end by itself."""
    last = _last_part(command)
    return GIVES_UP.search(last) is not None or _LAST.match(last) is not None


def _last_part(command: Command) -> str:
    return next((part for each in reversed(_SEPARATOR.split(command.text)) if (part := each.strip())), "")


def named_for_init(name: str) -> bool:
    """Whether this is a typical name of an init service, in any of `db-init`, `db_init` and `dbInit`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    return _NAMED.search(name) is not None and _RUNNING.search(name) is None


def restart_policy(service: Service) -> str:
    """Return `no`, `on-failure`, `always` or `unless-stopped`; empty if none is given.

    Follows Compose's `getRestartPolicy`: `deploy.restart_policy` overrides `restart`, and its `any` is `always`.
    """
    if service.value("deploy", "restart_policy") is not None:
        condition = service.text("deploy", "restart_policy", "condition") or ""
        return {"none": "no", "": "no", "any": "always"}.get(condition, condition)
    return (service.text("restart") or "").partition(":")[0]


def replicas(service: Service) -> int:
    """Return how many containers of it `up` starts."""
    counts = [service.text(*path) or "" for path in (("deploy", "replicas"), ("scale",))]
    return max((int(count) for count in counts if count.isdigit()), default=1)


def _shows_end(service: Service, *, named: bool) -> bool:
    """Whether its healthcheck, in any of the files, looks at a marker that means "done"."""
    for probe in [read_probe(layer.tree.get("healthcheck")) for layer in service.layers]:
        if probe.sight is Sight.INITHOLD:
            return True
        # Files are also used to probe servers (`test -f /run/nginx.pid`) and workers (heartbeat files).
        path = probe.path or ""
        file = probe.sight is Sight.MARKER and not path.endswith(_SERVER_FILES) and service.value("ports") is None
        if file and not _ALIVE.search(path) and (named or _DONE.search(path)):
            return True
    return False


def is_gate(service: Service) -> bool:
    """Whether the service itself waits for the environment, with `inithold wait`."""
    argv = [*words(service.value("entrypoint"))[0], *words(service.value("command"))[0]]
    return re.search(r"\binithold\s+wait\b", " ".join(argv)) is not None


def host_path(service: Service, path: str) -> Path | None:
    """Return the path on this machine of a file that is bind-mounted into the container, or None."""
    for mount in mounts(service):
        if mount.kind == "bind" and mount.holds(path) and "$" not in mount.source:
            inside = path[len(mount.target.rstrip("/")) :].lstrip("/")
            base = (mount.place.source.folder / Path(mount.source).expanduser()).resolve()
            return base / inside if inside else base
    return None
