"""`inithold kinds`"""

from __future__ import annotations

import click

from inithold.cli.completion import complete_kind
from inithold.errors import UsageError


@click.command()
@click.argument("kind", required=False, shell_complete=complete_kind)
def kinds(kind: str | None) -> int:
    """List the step kinds, or describe one.

    KIND is a name such as database.ready, or its first part, such as database.

    \b
    Examples:
      inithold kinds
      inithold kinds database.ready
    """
    from inithold.steps import manual, registry  # noqa: PLC0415
    from inithold.text.suggest import nearest  # noqa: PLC0415 - the help does not need it

    listed = [name for name in registry.names() if kind is None or name.startswith(f"{kind}.")]
    for name in listed:
        try:
            summary = manual.page(registry.load(name)).summary
        except registry.BrokenKind as error:
            summary = str(error)
        click.echo(f"{name:<{max(map(len, listed))}}  {summary}")
    if kind is None or listed:
        return 0
    try:
        page = manual.page(registry.load(kind))
    except registry.BrokenKind as error:
        raise UsageError(str(error)) from error
    except registry.UnknownKind:
        raise UsageError(f"there is no kind {kind!r}{nearest(kind, registry.names())}") from None
    click.echo(page.text())
    return 0
