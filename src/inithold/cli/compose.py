"""`inithold compose check`, `fix` and `rule`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inithold.cli import help_without_command, options
from inithold.cli.completion import complete_rule
from inithold.errors import UsageError
from inithold.redaction.sanitize import inert
from inithold.text.suggest import nearest

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

_services = click.option(
    "--service", "services", metavar="NAME", multiple=True, help="Only findings for this service. Repeatable."
)
_engine = click.option(
    "--engine", metavar="N", type=click.IntRange(min=1), help="Oldest Docker Engine to support, such as 24."
)


@click.group(invoke_without_command=True)
@click.pass_context
def compose(ctx: click.Context) -> int | None:
    """Find and fix start-up faults in Compose files.

    \b
    Examples:
      inithold compose check
      inithold compose fix --wrap inithold --diff
    """
    return help_without_command(ctx)


@compose.command()
@options.files
@_services
@_engine
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="Format of the findings.",
)
def check(files: tuple[str, ...], services: tuple[str, ...], engine: int | None, form: str) -> int:
    """Find start-up faults; change nothing.

    Exits 0 without findings, 1 with findings, 2 if the stack cannot be read.

    \b
    Examples:
      inithold compose check
      inithold compose check -f compose.yaml -f compose.prod.yaml --format github
    """
    from inithold.compose.check import check_stack  # noqa: PLC0415 - the help does not need it
    from inithold.compose.output import render  # noqa: PLC0415

    _, stack, notes = _open(files, services, engine)
    findings = check_stack(stack, services)
    if form == "text":
        _say(notes)
    output = render(form, findings, notes)
    if output:
        _echo(output)
    return 1 if findings else 0


@compose.command()
@click.argument("name", required=False, shell_complete=complete_rule)
def rule(name: str | None) -> int:
    """Explain a rule, or list all of them.

    \b
    Examples:
      inithold compose rule
      inithold compose rule one-shot-init
    """
    from inithold.compose.rules import RULES  # noqa: PLC0415

    rules = {rule.id: rule for rule in RULES}
    if name is None:
        width = max(map(len, rules))
        click.echo("\n".join(f"{each:{width}}  {rule.title}" for each, rule in rules.items()))
        return 0
    if name not in rules:
        near = nearest(name, [each for each in rules if name in each] or rules)
        raise UsageError(f"there is no rule {name!r}{near or ': inithold compose rule lists them'}")
    click.echo(f"# {name}\n\n{rules[name].page}")
    return 0


@compose.command()
@options.files
@_services
@_engine
@click.option("--diff", is_flag=True, help="Show what would be written; write nothing.")
@click.option("--unsafe", is_flag=True, help="Also make changes that could affect more than the init pattern.")
@click.option(
    "--wrap",
    type=click.Choice(["inithold", "shell"]),
    help="Make one-shot commands hold: with `inithold run --`, or with a script for any image that has sh.",
)
def fix(
    files: tuple[str, ...],
    services: tuple[str, ...],
    engine: int | None,
    diff: bool,
    unsafe: bool,
    wrap: str | None,
) -> int:
    """Fix start-up faults in place; everything else in the files stays as it is.

    Exits 0 if nothing is left to fix, 1 if findings remain (with --diff, also if there is something to fix), 2 if
    the stack cannot be read or written.

    \b
    Examples:
      inithold compose fix --diff
      inithold compose fix --wrap inithold
    """
    from inithold.compose.edit.diff import as_diff  # noqa: PLC0415
    from inithold.compose.edit.write import refuse_links, write_files  # noqa: PLC0415
    from inithold.compose.fix import fix_stack  # noqa: PLC0415

    load, _, notes = _open(files, services, engine, wrap)
    result = fix_stack(load, services, unsafe=unsafe)
    _say(notes)
    touched = [source for source in result.project.sources if source.path in result.texts]
    refuse_links(touched)
    if diff:
        _echo(as_diff(result.texts, touched), nl=False)
    else:
        write_files(result.texts, touched)
    for finding in result.fixed:
        done = "; ".join(str(change) for change in finding.changes)
        _echo(f"{finding.location}: fixed: {done} [{finding.rule}]", err=diff)
        if finding.note:
            _echo(f"    note: {finding.note}", err=diff)
    for finding in result.left:
        why = result.refused.get(finding)
        _echo(f"{finding.location}: {finding.severity}: {finding.message} [{finding.rule}]", err=diff)
        more = "; --unsafe makes this change" if finding.changes and finding.unsafe else ""
        _echo(f"    by hand, {why}: {finding.fix}" if why else f"    {finding.fix}{more}", err=diff)
        _echo(f"    why: {finding.manual}", err=diff)
    fixed, left = len(result.fixed), len(result.left)
    click.echo(f"{fixed} fixed, {left} left" if fixed or left else "nothing to fix", err=diff)
    return 1 if result.left or (diff and result.texts) else 0


def _echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    # Strings of a Compose file may hold escape sequences.
    click.echo(inert(text), err=err, nl=nl)


def _say(notes: list[str]) -> None:
    for note in notes:
        _echo(f"note: {note}", err=True)


def _open(
    files: tuple[str, ...], services: tuple[str, ...], engine: int | None, wrap: str | None = None
) -> tuple[Callable[[dict[Path, str]], Stack], Stack, list[str]]:
    """Read the stack given on the command line.

    Returns:
        what reads it again with other texts, while it is fixed in memory; the stack; and what was not read, the
        siblings that were not given, and comments that silence nothing.

    Raises:
        UsageError: a service is not in the stack.
    """
    import os  # noqa: PLC0415

    from inithold.compose.check import unknown_silences  # noqa: PLC0415
    from inithold.compose.read.discover import find_files, find_siblings  # noqa: PLC0415
    from inithold.compose.read.project import load_project  # noqa: PLC0415
    from inithold.compose.stack.image import ImageReader  # noqa: PLC0415
    from inithold.compose.stack.roles import Wrap, read_stack  # noqa: PLC0415

    folder = Path.cwd()
    names = find_files(files, os.environ, folder)
    images: ImageReader | None = None

    def load(texts: dict[Path, str]) -> Stack:
        nonlocal images
        project = load_project(names, folder=folder, texts=texts)
        images = images or ImageReader(project, engine=wrap is not None)
        stack = read_stack(project, engine, images=images)
        if wrap is not None:
            stack.wrap = Wrap(wrap)
        return stack

    first = load({})
    known = first.project.services
    for name in services:
        if name not in known:
            raise UsageError(f"there is no service {name!r} in {', '.join(names)}{nearest(name, known)}")
    loaded = [source.path for source in first.project.sources]
    siblings = find_siblings(loaded, loaded[0], folder)
    unread = [f"{name} is not checked: give it with -f where it is used" for name in siblings]
    return load, first, [*first.project.notes, *unread, *unknown_silences(first.project)]
