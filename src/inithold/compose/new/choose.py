"""Chooses what to draft from: an init service, a chain of them, or another service's `pre_start` hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from inithold.compose.new.shell import take_apart
from inithold.compose.new.text import from_compose
from inithold.compose.new.tools import migrates
from inithold.compose.read.merge import merge
from inithold.compose.read.tree import Mapping, plain
from inithold.compose.read.tree import Sequence as Listed
from inithold.compose.stack.command import words
from inithold.errors import UsageError
from inithold.text.suggest import nearest

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack


class Chosen(NamedTuple):
    """What a plan is drafted from."""

    services: list[Service]  # In the order they run; the last one is the init service.
    why: list[str]
    hooks_of: Service | None = None  # The service whose `pre_start` hooks these are.
    sharing: Sequence[str] = ()  # Other services with the same hooks.


def choose(stack: Stack, name: str | None, files: Sequence[str]) -> Chosen:
    """Choose the init service of a stack and the one-shots that run before it.

    Args:
        stack: the stack.
        name: the service to take, from --service; guessed if None.
        files: the Compose files, for messages.

    Raises:
        UsageError: no service has this name, or none looks like an init service.
    """
    services, shown = stack.project.services, ", ".join(files)
    if not services:
        raise UsageError(f"there is no service in {shown}", hint="name the files of the stack with -f")
    if name is not None:
        if name not in services:
            raise UsageError(f"there is no service {name!r} in {shown}{nearest(name, services)}")
        hooks = _hooks(services[name])
        why = [f"service {name}, as --service says"]
        return Chosen(hooks, why, services[name]) if hooks else Chosen([services[name]], why)
    if stack.inits:
        return _among(stack, list(stack.inits), "its dependents wait until it is done")
    if hooked := [service for service in services.values() if _hooks(service)]:
        first, *others = hooked
        own = plain(first.value("pre_start"))
        same = [each.name for each in others if plain(each.value("pre_start")) == own]
        more = [each.name for each in others if each.name not in same]
        why = [f"the pre_start hooks of {first.name}{', which are those of ' if same else ''}{', '.join(same)}"]
        why += [f"left out: those of {', '.join(more)}; draft them with --service"] if more else []
        return Chosen(_hooks(first), why, first, same)
    if stack.probable:
        return _among(
            stack, list(stack.probable), "chosen by its name or command; nothing waits for it to complete"
        )
    if migrating := [each for each, service in services.items() if _migrates(service)]:
        note = "it migrates before it starts; there is no init service yet: leave out what runs forever"
        return _among(stack, migrating, note)
    raise UsageError(
        f"no service in {shown} looks like an init service: nothing waits for one to complete",
        hint=f"name one with --service; there are: {', '.join(services)}",
    )


def _among(stack: Stack, names: list[str], why: str) -> Chosen:
    services = stack.project.services
    reached = {name: stack.reaches(name) for name in services}
    waiting = {name: sum(name in others for others in reached.values()) for name in names}
    migrating = {name for name in names if _migrates(services[name])}

    def rank(name: str) -> tuple[bool, bool, bool, int]:
        # Prefer the end of a chain: the services before it become steps of the same plan.
        link = any(name in reached[each] for each in names)
        return link, name != "init", name not in migrating, -waiting[name]

    first = min(names, key=rank)
    before = _before(stack, first)
    reasons = [f"service {first}: {why}"]
    if before:
        reasons.append(f"before it: {', '.join(before)}, which it waits for")
    if others := [each for each in names if each not in (first, *before)]:
        best = "named init" if first == "init" else "that migrates" if first in migrating else None
        best = best or f"that most services depend on ({waiting[first]})"
        reasons[0] += f"; of {len(others) + 1} such services, the one {best}"
        which = "it" if len(others) == 1 else "one"
        reasons.append(f"left out: {', '.join(others)}; draft {which} with --service")
    return Chosen([services[each] for each in (*before, first)], reasons)


def _before(stack: Stack, name: str) -> list[str]:
    """Return the one-shots that `name` waits for, in order.

    Without those that its servers wait for, too: they must run before init starts.
    """
    result: list[str] = []
    servers = [each for each in stack.reaches(name) if each not in stack.inits]

    def visit(each: str, above: tuple[str, ...]) -> None:
        for target in (dependency.target for dependency in stack.dependencies.get(each, ())):
            init = stack.inits.get(target)
            if init is None or init.held or target in (*result, *above):
                continue
            if not any(target in stack.reaches(server) for server in servers):
                visit(target, (*above, each))
                result.append(target)

    visit(name, (name,))
    return result


def _hooks(service: Service) -> list[Service]:
    """Return a service's `pre_start` hooks, each as a service.

    A hook inherits everything from its service, even the entrypoint when it has an image of its own (measured
    on Compose 5.6.1).
    """
    listed = service.value("pre_start")
    runs = []
    for hook in listed.items if isinstance(listed, Listed) else ():
        if isinstance(hook, Mapping):
            left = ("command", "build") if "image" in hook.entries else ("command",)
            entries = {key: value for key, value in service.view.entries.items() if key not in left}
            for key, value in hook.entries.items():
                entries[key] = merge(entries.get(key), value) if key == "environment" else value
            runs.append(replace(service, view=Mapping(service.view.places, None, entries)))
    return runs


def _migrates(service: Service) -> bool:
    argv = [*words(service.value("entrypoint"))[0], *words(service.value("command"))[0]]
    scripts = [take_apart(from_compose(word), ["sh", "-e"]) for word in argv if " " in word]
    return migrates(argv) or any(migrates(part.words) for script in scripts if script for part in script.parts)
