"""`inithold status`: its help; `inithold.record.status` answers without importing this."""

from __future__ import annotations

import click

from inithold.cli import options


@click.command()
@options.option("--json", is_flag=True, help="Print the record as JSON.")
@options.option(
    "--watch",
    is_flag=True,
    help="Follow a running run until it ends; with --json, one line for each change of the record.",
)
@options.option("--all", is_flag=True, help="List all recorded runs, newest first, with their changes.")
@options.marker
@options.record
def status(marker: str | None, record: str | None, **flags: bool) -> int:
    """Show the latest run, also while it is running.

    Steps marked * are on the critical path: they decided how long the run took. AFTER is the time from the
    start of the run until the step's needs were met. Exits 0, or 1 without a record.

    \b
    Examples:
      docker compose exec init inithold status
      inithold status --watch --json
    """
    from inithold.record.status import main  # noqa: PLC0415

    values = {"--marker": marker, "--record": record}
    arguments = [f"--{name}" for name, given in flags.items() if given]
    return main(arguments + [f"{name}={value}" for name, value in values.items() if value]) or 0
