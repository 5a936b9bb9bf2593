"""Puts a draft together: the servers first, then what init runs, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inithold.compose.new.conceal import Concealer
from inithold.compose.new.environment import Environment
from inithold.compose.new.guards import TODO
from inithold.compose.new.servers import Login, Server, ready_step
from inithold.compose.new.text import references, secrets
from inithold.compose.new.work import RENAMED, Step, Work, slug
from inithold.compose.read.tree import Mapping, Scalar
from inithold.compose.read.tree import Sequence as Listed
from inithold.compose.stack.command import has_no_words
from inithold.compose.stack.image import argv
from inithold.errors import UsageError

if TYPE_CHECKING:
    from inithold.compose.new.choose import Chosen
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack


@dataclass(slots=True)
class Draft:
    """A plan as it will be written, and what is said about it.

    Args:
        name: of the environment.
        service: what the plan belongs to.
        files: the Compose files, as the user would name them.
        entrypoint: something comes before `command` in the container, or may do so where the image is not known.
        hooks: it was drafted from the `pre_start` hooks of the service.
        chosen: which service was taken, and why.
        lock: URL of the lock, None where there is none.
        steps: in order.
        unknown: what could not be told.
        dropped: what the plan does not need.
        needed: what the init service has to be given.
    """

    name: str
    service: str
    files: list[str]
    entrypoint: bool
    hooks: bool
    chosen: list[str]
    lock: str | None = None
    steps: list[Step] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)

    def add(self, step: Step) -> Step:
        """Add a step; its id gets a number where it is taken."""
        taken = {each.id for each in self.steps}
        names = (step.id, *(f"{step.id}-{number}" for number in range(2, len(taken) + 3)))
        step.id = next(name for name in names if name not in taken)
        self.steps.append(step)
        return step


def draft(stack: Stack, chosen: Chosen, files: Sequence[str]) -> Draft:
    """Draft the plan of a stack's init service.

    Args:
        stack: the stack.
        chosen: what to draft it from.
        files: the stack's files, as the user would name them.

    Raises:
        UsageError: nothing tells what it does.
    """
    service, hooks = chosen.services[-1], chosen.hooks_of is not None
    before = argv(service, stack.images(service)).entrypoint_from_image or not has_no_words(
        service.value("entrypoint")
    )
    name = slug(stack.project.name) or "environment"
    result = Draft(name, service.name, list(files), before, hooks, list(chosen.why))
    others = [each for each in stack.project.services.values() if each is not service]
    environments = [Environment(each, stack.project) for each in (chosen.hooks_of or service, *others)]
    concealer = Concealer(environments)
    chain = [each.name for each in chosen.services]
    work = [Work(stack, each, concealer, chain, hooks) for each in chosen.services]
    for each in work:
        each.read()
        result.chosen += each.chosen
        result.unknown += each.unknown
        result.dropped += each.dropped
        if each is not work[-1] or hooks:
            result.needed += each.moved_to(environments[0])
    _servers(result, work)
    if len(result.steps) == sum(each.nothing for each in work):
        raise UsageError(
            "\n  ".join(
                [f"nothing in {', '.join(files)} tells what {service.name} does", *result.chosen, *result.unknown]
            ),
            hint="name another service with --service, or write the plan by hand: inithold kinds lists the steps",
        )
    result.unknown += environments[0].unread
    unguarded = [step for step in result.steps if any(TODO in todo for todo in step.todo)]
    result.unknown += [f"{step.id}: how to see that it is done already (TODO unless)" for step in unguarded]
    result.needed += _missing(result, environments, concealer)
    return result


def _servers(result: Draft, work: Sequence[Work]) -> None:
    """Put the ready steps before the others, and give the migration its database."""
    servers = work[-1].servers
    steps = [step for each in work for step in each.steps]
    first = next((step for step in steps if not step.waits), None)
    migration = next((step for step in steps if step.uses == "alembic.upgrade"), None)
    found: dict[str, Server] = {}
    for each in work:
        for server in each.servers.servers() if not each.only_files else ():
            found.setdefault(server.name, server)
        result.unknown += each.servers.unknown
    main: tuple[Server, Login] | None = None
    for server in found.values():
        login = servers.login(server, presupposed=migration is not None and migration is first)
        name, kind, fields = ready_step(server, login)
        result.add(Step(name, kind, fields, [f"{server.why}; {login.why}" if login else server.why], needs=[]))
        if login is not None and kind == "database.ready" and main is None:
            main = server, login
    awaited = {f"{server.name}:{server.port}" for server in found.values()}
    position = steps.index(first) if first is not None else len(steps)
    for step in steps[:position]:
        if step.fields.get("address") not in awaited:
            step.needs = []
            result.add(step)
    ready = [step.id for step in result.steps]
    if first is not None and len(ready) > 1:
        first.needs = ready
    for step in steps[position:]:
        result.add(step)
    if result.steps:
        result.steps[0].needs = None
    if main is not None:
        server, login = main
        if (
            migration is not None
            and not login.several
            and not any("url=" in x for x in migration.fields.get("x", ()))
        ):
            migration.fields |= login.fields
        result.lock = login.url("postgresql") if server.technology == "postgresql" else None


def _missing(result: Draft, environments: Sequence[Environment], concealer: Concealer) -> list[str]:
    """The variables and secrets that the plan refers to and its service does not have."""
    own, *others = environments
    texts = [*_texts([step.fields for step in result.steps]), result.lock or ""]
    optional: dict[str, bool] = {}
    for text in texts:
        for name, may_be_absent in references(text):
            optional[name] = optional.get(name, True) and may_be_absent
    lines = []
    for name in optional.keys() - {variable.name for variable in own}:
        holder = next((each for each in others if name in each), None)
        variable = holder.get(name) if holder is not None else None
        where = "Compose fills it in from .env or the host, if anything does"
        if holder is not None and variable is not None:
            plain = variable.text is not None and "$" not in variable.text and "://" not in variable.text
            where = f"{holder.service.name} has it{' as plain text' if plain else ''}"
        elif name.startswith(RENAMED):
            where = f"what ${{{name.removeprefix(RENAMED)}}} is to Compose; the container's own is another"
        elif name in concealer.replaced:
            where = "new; in the command the password stands as plain text"
        lines.append(f"variable {name}{' (blank where it is not set)' if optional[name] else ''}: {where}")
    files = dict.fromkeys(name for text in texts for name in secrets(text))
    return [
        *sorted(lines),
        *(
            f"secret {name}: under `secrets:` of {result.service}"
            for name in files
            if name not in _given(own.service)
        ),
    ]


def _given(service: Service) -> set[str]:
    """The names of the files in its /run/secrets."""
    listed = service.value("secrets")
    items = listed.items if isinstance(listed, Listed) else []
    names = [(each.get("target") or each.get("source")) if isinstance(each, Mapping) else each for each in items]
    return {name.text.rpartition("/")[2] for name in names if isinstance(name, Scalar)}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in _texts(each)]
    return [value] if isinstance(value, str) else []
