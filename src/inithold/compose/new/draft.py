"""Assembles a draft plan: first the steps that wait for servers, then the work of init, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inithold.compose.new.environment import Environment
from inithold.compose.new.servers import READY, Login, Server, login, used_servers
from inithold.compose.new.text import REFERENCE, SECRET, Concealer, slug
from inithold.compose.new.tools import TODO
from inithold.compose.new.work import RENAMED, Step, Work
from inithold.compose.read.tree import plain
from inithold.compose.stack.command import has_no_words
from inithold.compose.stack.image import argv
from inithold.compose.stack.servers import advice_to_split
from inithold.errors import UsageError

if TYPE_CHECKING:
    from inithold.compose.new.choose import Chosen
    from inithold.compose.stack.roles import Stack


@dataclass(slots=True)
class Draft:
    """A plan before it is written, and the notes for its summary.

    Args:
        entrypoint: the container has an entrypoint in front of `command`, or may have one (image unknown).
        hooks: drafted from the service's `pre_start` hooks.
        chosen: which service was chosen, and why.
        lock: the URL for the plan's `lock`.
        wrap: options of `compose fix` that make the service hold without a plan, with a comment; empty if none do.
        unknown: what could not be determined.
        dropped: commands left out of the plan.
        needed: what the init service must be given.
    """

    name: str
    service: str
    files: Sequence[str]
    entrypoint: bool
    hooks: bool
    chosen: list[str]
    lock: str | None = None
    wrap: str = ""
    steps: list[Step] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Add a step; number its id if another step has it."""
        taken = {each.id for each in self.steps}
        names = (step.id, *(f"{step.id}-{number}" for number in range(2, len(taken) + 3)))
        step.id = next(name for name in names if name not in taken)
        self.steps.append(step)


def draft(stack: Stack, chosen: Chosen, files: Sequence[str]) -> Draft:
    """Draft the plan of a stack's init service.

    Args:
        stack: the stack.
        chosen: the services to draft from.
        files: the Compose files, as the user would name them.

    Raises:
        UsageError: the files do not show what the service runs.
    """
    service = chosen.services[-1]
    runs = argv(service, stack.images(service))
    entrypoint = runs.entrypoint_from_image or not has_no_words(service.value("entrypoint"))
    name, hooks = slug(stack.project.name) or "environment", chosen.hooks_of is not None
    result = Draft(name, service.name, files, entrypoint, hooks, [*chosen.why])
    others = [each for each in stack.project.services.values() if each is not service]
    environments = [Environment(each, stack.project) for each in (chosen.hooks_of or service, *others)]
    concealer = Concealer(variable for each in environments for variable in each.values())
    chain = [*(each.name for each in chosen.services), *chosen.sharing]
    work = [Work(result, stack, each, concealer, chain) for each in chosen.services]
    for each in work if hooks else work[:-1]:
        each.move_to(environments[0])
    _add_steps(result, stack, work)
    if len(result.steps) == sum(each.nothing for each in work):
        lines = [f"nothing in {', '.join(files)} says what {service.name} does", *result.chosen, *result.unknown]
        raise UsageError(
            "\n  ".join(lines),
            hint="name another service with --service, or write the plan by hand: inithold kinds lists the steps",
        )
    result.unknown += environments[0].unread
    unguarded = [step for step in result.steps if any(TODO in todo for todo in step.todo)]
    result.unknown += [f"{step.id}: how to tell that it is already done (TODO unless)" for step in unguarded]
    init = stack.inits.get(service.name) or stack.probable.get(service.name)
    if init is not None and not hooks:
        if (advice := advice_to_split(init, stack)) is not None:
            result.unknown.insert(0, f"how others can wait for {service.name}: {advice}")
        elif not init.held and not init.command.repair and (init.sure or service.value("profiles") is None):
            options = "--wrap inithold" if init.sure else "--wrap inithold --unsafe"
            condition = "once docker has its image: " if runs.words is None else ""
            result.wrap = f"{options}   # {condition}runs the command, then holds"
    result.needed += _missing(result, environments, concealer)
    return result


def _add_steps(result: Draft, stack: Stack, work: Sequence[Work]) -> None:
    """Put the ready steps before the others, and give the migration its database."""
    servers: dict[str, Server] = {}
    for each in work:
        if not each.only_files:
            for server in used_servers(stack, each.own, each.excluded, result.unknown):
                servers.setdefault(server.name, server)
    steps = [step for each in work for step in each.steps]
    first = next((at for at, step in enumerate(steps) if not step.waits), len(steps))
    migration = next((step for step in steps if step.uses == "alembic.upgrade"), None)
    presupposed = migration is not None and migration is steps[first]
    main: tuple[Server, Login] | None = None
    for server in servers.values():
        by = login(stack, work[-1].own, server, presupposed=presupposed)
        if by is None:
            step = Step(slug(server.name), "tcp.ready", {"address": f"{server.name}:{server.port}"}, [server.why])
        else:
            step = Step(*READY[server.technology], by.fields, [f"{server.why}; {by.why}"])
            main = main or ((server, by) if step.uses == "database.ready" else None)
        result.add(step)
    awaited = {f"{server.name}:{server.port}" for server in servers.values()}
    for step in steps[:first]:
        if step.fields.get("address") not in awaited:
            result.add(step)
    for step in result.steps[1:]:
        step.needs = []
    if len(result.steps) > 1 and first < len(steps):
        steps[first].needs = [step.id for step in result.steps]
    for step in steps[first:]:
        result.add(step)
    if main is not None:
        server, by = main
        given = migration is not None and any("url=" in each for each in migration.fields.get("x", ()))
        if migration is not None and not by.several and not given:
            migration.fields |= by.fields
        result.lock = by.url("postgresql") if server.technology == "postgresql" else None


def _missing(result: Draft, environments: Sequence[Environment], concealer: Concealer) -> list[str]:
    """Return the variables and secrets that the plan refers to but its service lacks."""
    own, *others = environments
    texts = repr([[step.fields for step in result.steps], result.lock])
    optional: dict[str, bool] = {}
    for name, operator in REFERENCE.findall(texts):
        if name:
            optional[name] = optional.get(name, True) and bool(operator)
    lines = []
    for name in optional.keys() - own.keys():
        if (holder := next((each for each in others if name in each), None)) is not None:
            text = holder[name].text or "$"
            where = f"{holder.service.name} has it{'' if '$' in text or '://' in text else ' as plain text'}"
        elif name.startswith(RENAMED):
            where = f"Compose's value of ${{{name.removeprefix(RENAMED)}}}; the container has a different one"
        elif name in concealer.replaced:
            where = "new; the command has the password in plain text"
        else:
            where = "Compose takes it from .env or the host, if it is set there"
        lines.append(f"variable {name}{' (empty if not set)' if optional[name] else ''}: {where}")
    listed = plain(own.service.value("secrets")) or []
    names = [each.get("target") or each.get("source") if isinstance(each, dict) else each for each in listed]
    given = {str(name).rpartition("/")[2] for name in names}
    files = dict.fromkeys(name for name in SECRET.findall(texts) if name not in given)
    return [*sorted(lines), *(f"secret {name}: under `secrets:` of {result.service}" for name in files)]
