"""Rules on dependencies: missing, too weak, impossible, or on something that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from inithold.compose.finding import DELETE, Change, Finding, Severity, key_location, location_of, spot
from inithold.compose.read.tree import plain
from inithold.compose.rules.overrides import awaits, weakened_by
from inithold.compose.stack import wiring
from inithold.compose.stack.command import words
from inithold.compose.stack.hold import make_hold
from inithold.compose.stack.probe import Sight
from inithold.compose.stack.roles import COMPLETED, HEALTHY, STARTED, is_gate, named_for_init, restart_policy
from inithold.compose.stack.servers import (
    DATABASES,
    MEMCACHED,
    image_name,
    impatience,
    needed_dependents,
    server_of,
    unready_servers,
    used_services,
)
from inithold.compose.stack.ties import may_be_inactive, ties

if TYPE_CHECKING:
    from inithold.compose.read.tree import Place
    from inithold.compose.stack.roles import Init, Stack
    from inithold.compose.stack.ties import Tie

# Consoles, exporters and backups need not wait: they take whatever is there.
_ONLOOKERS = re.compile(
    r"exporter|pgadmin|phpmyadmin|adminer|pgweb|cloudbeaver|dbgate|mongo-express|redis-?(?:commander|insight)"
    r"|kafka-?ui|akhq|kafdrop|prometheus|grafana|pghero|backup|(?:^|-)(?:console|ui|cli|tools)$",
    re.I,
)
_PROXIES = re.compile(r"nginx|traefik|haproxy|envoy|caddy", re.I)
_SWARM_ONLY = ("mode", "placement", "update_config", "rollback_config", "endpoint_mode")


def completed_dependent(stack: Stack) -> Iterator[Finding]:
    """Dependents that wait for a held service to exit."""
    for entry in [entry for init in stack.held for entry in init.dependents if entry.condition == COMPLETED]:
        name, target = entry.service.name, entry.target
        yield Finding(
            Severity.ERROR,
            f"{name} waits for {target} to exit, but {target} stays up when it is done: {name} never starts",
            entry.location,
            name,
            target,
            changes=wiring.await_healthy(entry, stack.inits[target], stack),
            remedy=f"give {target} a healthcheck that sees its marker, then wait for service_healthy",
        )


def init_not_awaited(stack: Stack) -> Iterator[Finding]:
    """Dependents that do not wait until an init is done."""
    for init in stack.all_inits:
        needed = needed_dependents(init, stack)
        for entry in init.dependents:
            path = ("depends_on", init.name, "condition")
            if entry.condition != STARTED or is_gate(entry.service) or entry.service.name in needed:
                continue
            if weakened_by(entry.service, path, awaits(init)) is not None:
                continue  # Reported by weakened_override.
            if init.held:
                changes = wiring.await_healthy(entry, init, stack)
                remedy = f"give {init.name} a healthcheck that sees its marker, then wait for service_healthy"
            else:
                # What can be made to hold does so first; and nothing may wait for what never completes.
                first = init.never_completes or bool(make_hold(init, stack)[0])
                changes = [] if first else [Change(entry.service.name, path, COMPLETED)]
                remedy = f"make {init.name} hold, then wait for service_healthy"
            says = "healthcheck" if init.held else "name" if named_for_init(init.name) else "command"
            probably = "" if init.sure else f", if {init.name} is an init service, as its {says} says"
            if init.never_completes:
                probably += f"; with restart: {restart_policy(init.service)} it never completes"
            yield Finding(
                Severity.ERROR if init.sure else Severity.WARNING,
                f"{entry.service.name} starts as soon as {init.name} runs, before the environment is ready"
                f"{probably}",
                entry.location,
                entry.service.name,
                init.name,
                changes=changes,
                unsafe=not init.held,
                remedy=remedy,
            )


def dependent_skips_init(stack: Stack) -> Iterator[Finding]:
    """Services that use what an init prepares without waiting for it."""
    inits = {**stack.inits, **stack.probable}
    own = {name: _prepared(init, stack) - inits.keys() for name, init in inits.items()}
    prepared = {
        name: used.union(*(own.get(each, ()) for each in stack.reaches(name))) for name, used in own.items()
    }
    # Of a chain of inits, the last one is the one to wait for.
    last = [init for init in inits.values() if all(entry.service.name not in inits for entry in init.dependents)]
    skipping: dict[str, list[tuple[Init, str, Place]]] = {}
    for service in stack.project.services.values():
        used = used_services(service, stack)
        # A server may share the others' variables by an anchor, but needs no schema.
        looks_on = _ONLOOKERS.search(image_name(service)) is not None or "backup" in service.name
        if service.name in inits or is_gate(service) or not used or looks_on or server_of(service) is not None:
            continue
        # A service that init waits for cannot wait for init; a link that does not wait is init_not_awaited's.
        behind = stack.reaches(service.name)
        skipped = [
            init
            for init in last
            if init.name not in behind
            and service.name not in prepared[init.name]
            and not may_be_inactive(init.service, service)
            and service.name not in stack.reaches(init.name)
        ]
        awaited = (
            [names for name, names in prepared.items() if stack.waits_on(service.name, name)] if skipped else []
        )
        # An init is not blamed for what only an earlier init of its chain prepares, if that one is skipped too.
        themselves = {name for init in skipped for name in own[init.name]}
        for init in skipped:
            theirs = own[init.name] | (prepared[init.name] - themselves)
            shared = [name for name in used if name in theirs and not any(name in each for each in awaited)]
            if shared:
                skipping.setdefault(service.name, []).append((init, shared[0], used[shared[0]]))
    for name, skips in skipping.items():
        behind = stack.reaches(name)
        for init, server, place in skips:
            # A service that starts behind another one waits as soon as that one does.
            if any(each is init for other in behind & skipping.keys() for each, _, _ in skipping[other]):
                continue
            seen = init.probe.sight not in (Sight.NONE, Sight.DISABLED)
            waitable = seen if init.held else not init.never_completes
            condition = {"condition": HEALTHY if init.held else COMPLETED}
            yield Finding(
                Severity.WARNING,
                f"{name} reaches {server}, which {init.name} prepares, and may start before {init.name} is done",
                location_of(place),
                name,
                init.name,
                changes=[Change(name, ("depends_on", init.name), condition)] if waitable else (),
                unsafe=True,
                remedy=f"let {name} wait for {init.name}, once that is fixed",
            )


def _prepared(init: Init, stack: Stack) -> set[str]:
    """Return what an init prepares: what it uses, but no proxy, cache or (for a migration) broker beside it."""
    services = stack.project.services
    used = {
        name
        for name in used_services(init.service, stack)
        if name in services and not _PROXIES.search(image_name(services[name]))
    }
    servers = {name: server for name in used if (server := server_of(services[name])) is not None}
    if "migrat" in init.name:
        aside = {name for name, (_, port) in servers.items() if port not in DATABASES}
    else:
        aside = {name for name, (kind, port) in servers.items() if kind == "redis" or port == MEMCACHED}
    return used - aside or used


def impatient_init(stack: Stack) -> Iterator[Finding]:
    """Servers that an init uses without waiting for them."""
    for init in stack.all_inits:
        depended_on = {entry.target for entry in stack.dependencies[init.name]}
        for server in unready_servers(init, stack):
            path = ("depends_on", server.name)
            change = (
                Change(init.name, (*path, "condition"), HEALTHY)
                if server.name in depended_on
                else Change(init.name, path, {"condition": HEALTHY})
            )
            wait = f"`fix --wrap inithold` puts `--wait tcp://{server.name}:{server.port}` before its command; or "
            yield Finding(
                Severity.WARNING,
                f"{init.name} may start before {server.name} is ready, and {impatience(init.command)}: "
                "a first `up` may fail",
                location_of(server.place),
                init.name,
                server.name,
                changes=[change] if server.tested else (),
                unsafe=True,
                remedy=f"{wait if server.port and not init.held else ''}"
                f"give {server.name} a healthcheck and wait for service_healthy",
            )


def restart_with_init(stack: Stack) -> Iterator[Finding]:
    """Dependents that are restarted with an init service."""
    for init in stack.inits.values():
        for entry in init.dependents:
            if entry.flag("restart", default=False):
                path = ("depends_on", init.name, "restart")
                yield Finding(
                    Severity.WARNING,
                    f"whenever Compose restarts or recreates {init.name}, it restarts {entry.service.name} too",
                    spot(entry.service, *path),
                    entry.service.name,
                    init.name,
                    changes=[Change(entry.service.name, path, DELETE)],
                )


def swarm_ignores_depends_on(stack: Stack) -> Iterator[Finding]:
    """Dependents of an init that are written for Swarm and do not wait by `inithold wait`."""
    for entry in [entry for init in stack.inits.values() for entry in init.dependents]:
        service = entry.service
        if any(service.value("deploy", key) is not None for key in _SWARM_ONLY) and not is_gate(service):
            argv = words(service.value("command"))[0]
            yield Finding(
                Severity.WARNING,
                f"Swarm does not wait for depends_on: {service.name} starts before {entry.target} is done",
                entry.location,
                service.name,
                entry.target,
                remedy=f"put the gate before its command: inithold wait ... -- {argv[0] if argv else 'CMD'}",
            )


def inactive_dependency(stack: Stack) -> Iterator[Finding]:
    """Inits that can be left out by a profile that their dependents do not have."""
    for init in stack.inits.values():
        for entry in init.dependents:
            if not may_be_inactive(init.service, entry.service) or not entry.flag("required", default=True):
                continue
            profile = min(map(str, plain(init.service.value("profiles"))))
            yield Finding(
                Severity.WARNING,
                f"without the profile {profile} `up` refuses to start: {entry.service.name} depends on "
                f"{init.name}, which is not active then",
                spot(init.service, "profiles"),
                init.name,
                entry.service.name,
                remedy=f"remove the profiles of {init.name}, or give {entry.service.name} the same",
            )
            break


def provider_too_early(stack: Stack) -> Iterator[Finding]:
    """Services that a provider depends on."""
    providers = {name for name, each in stack.project.services.items() if each.value("provider") is not None}
    for entry in [
        entry for name in providers for entry in stack.dependencies[name] if entry.target not in providers
    ]:
        yield Finding(
            Severity.ERROR,
            f"the provider of {entry.service.name} runs before any container starts: it does not wait for "
            f"{entry.target}",
            entry.location,
            entry.service.name,
            entry.target,
            remedy="do what needs a running container in an init service, which holds",
        )


def unknown_dependency(stack: Stack) -> Iterator[Finding]:
    """Dependencies on a service that is not in the stack."""
    known = list(stack.project.services)
    for tie in [tie for listed in ties(stack).values() for tie in listed if tie.target not in known]:
        near = get_close_matches(tie.target, [name for name in known if name != tie.service.name], 1)
        yield Finding(
            Severity.ERROR,
            f"{tie.service.name} depends on {tie.target}, which does not exist: `up` refuses to start",
            location_of(tie.place) if tie.entry is None or tie.entry.short else key_location(tie.entry.entry),
            tie.service.name,
            tie.target,
            remedy=f"did you mean {near[0]}?"
            if near
            else "name a service of the stack, or give the file it is in with -f",
        )


def cyclic_dependency(stack: Stack) -> Iterator[Finding]:
    """Dependency cycles, each reported at the entry that closes it."""
    known = ties(stack)
    done: set[str] = set()
    for start in known:
        # No recursion: a stack may be a chain of thousands of services.
        path: dict[str, Iterator[Tie]] = {} if start in done else {start: iter(known[start])}
        while path:
            name = next(reversed(path))
            tie = next(path[name], None)
            if tie is None:
                done.add(name)
                del path[name]
            elif tie.target in path:
                walked = list(path)
                circle = [*walked[walked.index(tie.target) :], tie.target]
                yield Finding(
                    Severity.ERROR,
                    f"the dependencies go in a circle ({' -> '.join(circle)}): `up` refuses to start",
                    tie.entry.location if tie.entry else location_of(tie.place),
                    tie.service.name,
                    tie.target,
                    remedy="remove one of these dependencies",
                )
            elif tie.target not in done:
                path[tie.target] = iter(known.get(tie.target, ()))
