"""`inithold report`"""

from __future__ import annotations

import click

from inithold.cli import options
from inithold.cli.completion import complete_file


@click.command()
@click.argument("records", metavar="[RECORD]...", nargs=-1, shell_complete=complete_file)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    shell_complete=complete_file,
    required=True,
    envvar="INITHOLD_OUTPUT",
    show_envvar=True,
    help="The page to write, or - for standard output.",
)
@options.marker
@options.record
def report(records: tuple[str, ...], output: str, marker: str | None, record: str | None) -> int:
    """Write a run as a self-contained HTML page.

    RECORD is a record file (default: the current one), or - for standard input. One record is shown as a timeline
    with attempts, changes, log lines and the dependency graph; two are compared; more are listed. The output of
    `inithold status --json`, also with --all, works too, so the container does not need the extra `report`.

    Exits 0, or 1 if a record cannot be read or the page cannot be written.

    \b
    Examples:
      inithold report -o run.html
      docker compose exec init inithold status --json | inithold report - -o run.html
    """
    from inithold.errors import InitholdError  # noqa: PLC0415
    from inithold.marker.file import path_from as marker_path  # noqa: PLC0415
    from inithold.record.files import path_from  # noqa: PLC0415
    from inithold.redaction.sanitize import one_line  # noqa: PLC0415
    from inithold.report import reading, render  # noqa: PLC0415 - the help does not need them

    render.require_extra()
    runs = reading.read_all(records or [path_from(record, marker_path(marker))])
    if not runs:
        raise InitholdError("no run in the records given")
    if path := render.write(output, render.page(runs)):
        click.echo(one_line(path))
    return 0
