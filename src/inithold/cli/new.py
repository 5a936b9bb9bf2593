"""`inithold new`"""

from __future__ import annotations

import click

from inithold.cli import options
from inithold.cli.completion import complete_file
from inithold.redaction.sanitize import inert


@click.command()
@options.files
@click.option("--service", metavar="NAME", help="The init service. Default: the one that others wait for.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    shell_complete=complete_file,
    default="inithold.yaml",
    show_default=True,
    help="The plan to write, or - for standard output. An existing file is never overwritten.",
)
def new(files: tuple[str, ...], service: str | None, output: str) -> int:
    """Draft a plan for the init service of a Compose stack.

    It reads the service's dependencies, variables and command, the image's ENTRYPOINT and CMD, and scripts that
    are mounted or in the build context. A script stays whole if splitting it would change what it does. The
    draft explains each guess; standard error lists what is still open and what to do next. Passwords are never
    copied; variables replace them.

    Exits 0, or 2 if the stack cannot be read, no init service is found, or the file already exists.

    \b
    Examples:
      inithold new
      inithold new -f compose.yaml -f compose.prod.yaml --service init -o -
    """
    import os  # noqa: PLC0415 - the help does not need it
    import sys  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from inithold.compose.new.choose import choose  # noqa: PLC0415
    from inithold.compose.new.draft import draft  # noqa: PLC0415
    from inithold.compose.new.render import (  # noqa: PLC0415
        STANDARD_OUTPUT,
        plan_text,
        refuse_existing,
        summary,
        write_new,
    )
    from inithold.compose.read.discover import find_files  # noqa: PLC0415
    from inithold.compose.read.project import load_project  # noqa: PLC0415
    from inithold.compose.stack.image import ImageReader  # noqa: PLC0415
    from inithold.compose.stack.roles import read_stack  # noqa: PLC0415

    refuse_existing(output)
    folder = Path.cwd()
    listed = find_files(files, os.environ, folder)
    project = load_project(listed, folder=folder)
    stack = read_stack(project, images=ImageReader(project, engine=True))
    result = draft(stack, choose(stack, service, listed), listed)
    result.unknown += project.notes
    if output == STANDARD_OUTPUT:
        click.echo(plan_text(result), nl=False)
        sys.stdout.flush()
    else:
        write_new(output, plan_text(result))
    click.echo(inert(summary(result, output, files)), err=True)
    return 0
