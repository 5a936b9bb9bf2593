"""`inithold kinds`"""

from __future__ import annotations

import click

from inithold.errors import UsageError


@click.command()
@click.argument("kind", required=False)
def kinds(kind: str | None) -> int:
    """List the step kinds, or describe one.

    KIND is a name such as database.ready. What is shown comes from the kind's own class.
    """
    from inithold.steps import manual, registry  # noqa: PLC0415
    from inithold.text.suggest import nearest  # noqa: PLC0415 - the help does not need it

    if kind is None:
        width = max(map(len, registry.names()))
        for name in registry.names():
            click.echo(f"{name:<{width}}  {_summary(name)}")
        return 0
    try:
        found = registry.load(kind)
    except registry.BrokenKind as error:
        raise UsageError(str(error)) from error
    except registry.UnknownKind:
        raise UsageError(f"there is no kind {kind!r}{nearest(kind, registry.names())}") from None
    click.echo(manual.page(found).text())
    return 0


def _summary(name: str) -> str:
    from inithold.steps import manual, registry  # noqa: PLC0415

    try:
        return manual.page(registry.load(name)).summary
    except registry.BrokenKind as error:
        return str(error)
