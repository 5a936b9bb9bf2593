"""`inithold health`: its help; `inithold.marker.health` answers without importing this."""

from __future__ import annotations

import click

from inithold.cli import options


@click.command()
@options.marker
@click.option(
    "--wait", is_flag=False, flag_value="25s", metavar="DURATION", help="Block until ready, for at most this long."
)
def health(marker: str | None, wait: str | None) -> int:
    """Is this container's environment ready? For health checks.

    Exits 0 if it is, otherwise 1 with the reason in one line. With --wait (25s) or --wait=DURATION it waits until
    ready, for at most that long.

    \b
    Examples:
      inithold health
      inithold health --wait=25s
    """
    from inithold.marker.health import main  # noqa: PLC0415

    arguments = [f"--marker={marker}"] if marker else []
    return main(arguments + ([f"--wait={wait}"] if wait else [])) or 0
