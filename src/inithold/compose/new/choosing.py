"""Which service of a stack is the init service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from inithold.compose.stack.command import words
from inithold.compose.stack.roles import named_for_init
from inithold.errors import UsageError

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

_MIGRATES = re.compile(
    r"\balembic\b.*\bupgrade\b|\bmanage\.py\s+migrate\b|\bdb:(?:migrate|prepare)\b|\bprisma\s+migrate\s+deploy\b"
    r"|\bflask\s+db\s+upgrade\b|\bartisan\s+migrate\b|\bknex\s+migrate\b|\bdb\s+migrate\b|\bdoctrine:migrations:migrate\b"
)


def choose(stack: Stack, name: str | None, files: Sequence[str]) -> tuple[Service, list[str]]:
    """The init service, and why it was taken.

    Args:
        stack: the stack.
        name: the service that was asked for, None where the stack shall tell.
        files: the stack's files, for messages.

    Raises:
        UsageError: there is no such service, or none that looks like an init service.
    """
    services = stack.project.services
    shown = ", ".join(files)
    if not services:
        raise UsageError(f"there is no service in {shown}", hint="name the files of the stack with -f")
    if name is not None:
        if name not in services:
            near = get_close_matches(name, list(services), 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(services)}"
            raise UsageError(f"there is no service {name!r} in {shown}", hint=hint)
        return services[name], [f"service {name}, as --service says"]
    if stack.inits:
        return _among(stack, list(stack.inits), "its dependents wait until it is done")
    named = [each for each in services if named_for_init(each)]
    if named:
        return _among(stack, named, "by its name; it does not hold, and nothing waits for its end")
    migrating = [each for each, service in services.items() if _MIGRATES.search(_text(service))]
    if migrating:
        return _among(stack, migrating, "it migrates before it starts; there is no init service yet")
    raise UsageError(
        f"no service in {shown} looks like an init service: none is waited for until it is done",
        hint=f"name one with --service; there are: {', '.join(services)}",
    )


def _among(stack: Stack, names: list[str], why: str) -> tuple[Service, list[str]]:
    def waiting(name: str) -> int:
        return sum(name in stack.reaches(each) for each in stack.project.services)

    def migrates(name: str) -> bool:
        return _MIGRATES.search(_text(stack.project.services[name])) is not None

    def rank(name: str) -> tuple[bool, bool, int, bool, int]:
        return name != "init", not migrates(name), -waiting(name), not named_for_init(name), names.index(name)

    first, *others = sorted(names, key=rank)
    said = [f"service {first}: {why}"]
    if others:
        more = f"the one that most depend on ({waiting(first)})"
        more = "the one of that name" if first == "init" else "the one that migrates" if migrates(first) else more
        said[0] += f"; of {len(names)} such services {more}"
        said.append(f"not taken: {', '.join(others)}; draft {'it' if len(others) == 1 else 'one'} with --service")
    return stack.project.services[first], said


def _text(service: Service) -> str:
    return " ".join([*words(service.value("entrypoint"))[0], *words(service.value("command"))[0]])
