"""`inithold health`: the words of it; `inithold.marker.health` answers before this is imported."""

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

    Says in one line why not. Exits 0 ready, 1 anything else. With --wait (25s) or --wait=DURATION it blocks
    until ready.

    \b
    Examples:
      inithold health
      inithold health --wait=25s
    """
    from inithold.marker.health import main  # noqa: PLC0415

    arguments = [f"--marker={marker}"] if marker else []
    return main(arguments + ([f"--wait={wait}"] if wait else [])) or 0
