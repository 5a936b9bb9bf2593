"""`inithold rerun`"""

from __future__ import annotations

import click

from inithold.cli import options


@click.command()
@options.marker
@options.record
def rerun(marker: str | None, record: str | None) -> int:
    """Make the hold run its plan again now, and wait for the outcome.

    This needs a verifying hold (--verify or hold: {verify: ...}). A plain hold keeps nothing that could run the
    plan again; the message says what to do instead.

    Exits 0 if the environment is ready again, otherwise 1.

    \b
    Examples:
      inithold rerun
      docker compose exec init inithold rerun
    """
    options.warn_about_variables()
    from inithold.lifecycle.rerun import rerun as ask  # noqa: PLC0415 - as above
    from inithold.marker.file import path_from as marker_path  # noqa: PLC0415 - the help does not need it
    from inithold.record.files import path_from as record_path  # noqa: PLC0415 - as above

    path = marker_path(marker)
    return ask(path, record_path(record, path))
