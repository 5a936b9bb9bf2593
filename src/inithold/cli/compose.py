"""`inithold compose check`, `fix` and `rule`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inithold.cli import help_without_command
from inithold.errors import UsageError

if TYPE_CHECKING:
    from inithold.compose.fix import FixResult
    from inithold.compose.stack.roles import Stack

F = TypeVar("F", bound=Callable[..., Any])

_FORMATS = ("text", "json", "sarif", "github")


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


def _shared(command: F) -> F:
    for decorate in (
        click.option(
            "--engine", metavar="N", type=click.IntRange(min=1), help="Oldest Docker Engine to be supported (24)."
        ),
        click.option(
            "--service", "services", metavar="NAME", multiple=True, help="Only what concerns this service."
        ),
        click.option(
            "-f",
            "--file",
            "files",
            metavar="FILE",
            multiple=True,
            help="A file of the stack. Default: as Compose does.",
        ),
    ):
        command = decorate(command)
    return command


@compose.command()
@_shared
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True, help="Of the findings."
)
def check(files: tuple[str, ...], services: tuple[str, ...], engine: int | None, form: str) -> int:
    """Find start-up faults; change nothing.

    Exits 0 where there are none, 1 with findings, 2 where the stack cannot be read.
    """
    from inithold.compose.check import check_stack  # noqa: PLC0415 - the help does not need it
    from inithold.compose.output import render  # noqa: PLC0415

    loader = _Loader(files, engine, None)
    stack = loader({})
    loader.expect(stack, services)
    findings = check_stack(stack, services)
    notes = loader.notes(stack)
    if form == "text":
        _say(notes)
    output = render(form, findings, notes)
    if output:
        click.echo(output)
    return 1 if findings else 0


@compose.command()
@click.argument("name", required=False)
def rule(name: str | None) -> int:
    """Explain a rule, or list all of them."""
    from difflib import get_close_matches  # noqa: PLC0415

    from inithold.compose.rules import RULES  # noqa: PLC0415

    rules = {rule.id: rule for rule in RULES}
    if name is None:
        width = max(map(len, rules))
        click.echo("\n".join(f"{each:{width}}  {rule.title}" for each, rule in rules.items()))
        return 0
    if name not in rules:
        near = get_close_matches(name, rules, 1)
        hint = f"did you mean {near[0]}?" if near else "`inithold compose rule` lists them"
        raise UsageError(f"there is no rule {name!r}", hint=hint)
    click.echo(f"# {name}\n\n{rules[name].page}")
    return 0


@compose.command()
@_shared
@click.option("--diff", is_flag=True, help="Show what would be written; write nothing.")
@click.option("--unsafe", is_flag=True, help="Also make changes that could alter more than the pattern.")
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
    """Fix start-up faults in place; only the spans concerned change.

    Exits 0 where nothing is left, 1 where findings are left (with --diff: or would be fixed), 2 where the stack
    cannot be read or written.
    """
    from inithold.compose.edit.diff import as_diff  # noqa: PLC0415
    from inithold.compose.edit.write import refuse_links, write_files  # noqa: PLC0415
    from inithold.compose.fix import fix_stack  # noqa: PLC0415

    loader = _Loader(files, engine, wrap)
    first = loader({})
    loader.expect(first, services)
    result = fix_stack(loader, services, unsafe=unsafe)
    _say(loader.notes(first))
    touched = [source for source in result.project.sources if source.path in result.texts]
    refuse_links(touched)
    if diff:
        click.echo(as_diff(result.texts, touched), nl=False)
    else:
        write_files(result.texts, touched)
    _report(result, err=diff)
    return 1 if result.left or (diff and result.texts) else 0


def _report(result: FixResult, *, err: bool) -> None:
    for finding in result.fixed:
        done = "; ".join(str(change) for change in finding.changes)
        click.echo(f"{finding.location}: fixed: {done} [{finding.rule}]", err=err)
        if finding.note:
            click.echo(f"    note: {finding.note}", err=err)
    for finding in result.left:
        why = result.refused.get(finding)
        click.echo(f"{finding.location}: {finding.severity}: {finding.message} [{finding.rule}]", err=err)
        unsafe = "; give --unsafe for that" if finding.changes and finding.unsafe else ""
        click.echo(f"    by hand, {why}: {finding.fix}" if why else f"    {finding.fix}{unsafe}", err=err)
        click.echo(f"    {finding.link}", err=err)
    fixed, left = len(result.fixed), len(result.left)
    click.echo(f"{fixed} fixed, {left} left" if fixed or left else "nothing to fix", err=err)


def _say(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)


class _Loader:
    """Reads the stack the command line names, again and again while it is fixed in memory."""

    def __init__(self, files: tuple[str, ...], engine: int | None, wrap: str | None) -> None:
        import os  # noqa: PLC0415

        from inithold.compose.read.discover import find_files  # noqa: PLC0415

        self._folder = Path.cwd()
        self._files = find_files(files, os.environ, self._folder)
        self._engine = engine
        self._wrap = wrap
        self._images: Any = None

    def __call__(self, texts: dict[Path, str]) -> Stack:
        from inithold.compose.read.project import load_project  # noqa: PLC0415
        from inithold.compose.stack.roles import read_stack  # noqa: PLC0415

        project = load_project(self._files, folder=self._folder, texts=texts)
        if self._images is None:
            from inithold.compose.stack.image import ImageReader  # noqa: PLC0415

            self._images = ImageReader(project, engine=self._wrap is not None)
        stack = read_stack(project, self._engine, images=self._images)
        if self._wrap is not None:
            from inithold.compose.stack.roles import Wrap  # noqa: PLC0415

            stack.wrap = Wrap(self._wrap)
        return stack

    def expect(self, stack: Stack, services: tuple[str, ...]) -> None:
        """Refuse names that are not in the stack."""
        from difflib import get_close_matches  # noqa: PLC0415

        known = list(stack.project.services)
        for name in services:
            if name not in stack.project.services:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
                raise UsageError(f"there is no service {name!r} in {', '.join(self._files)}", hint=hint)

    def notes(self, stack: Stack) -> list[str]:
        """What was not read, the siblings that were not given, and comments that silence nothing."""
        from inithold.compose.check import unknown_silences  # noqa: PLC0415
        from inithold.compose.read.discover import find_siblings  # noqa: PLC0415

        loaded = [source.path for source in stack.project.sources]
        siblings = find_siblings(loaded, loaded[0], self._folder)
        unread = [f"{name} is not checked: give it with -f where it is used" for name in siblings]
        return [*stack.project.notes, *unread, *unknown_silences(stack.project)]
