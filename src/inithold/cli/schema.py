"""`inithold schema`"""

from __future__ import annotations

import click


@click.command()
@click.argument("which", type=click.Choice(["plan", "record", "preview"]), default="plan")
def schema(which: str) -> int:
    """Print the JSON Schema of the plan, the record, or the output of plan --json.

    Editors use it to complete and check plans: put `# yaml-language-server: $schema=FILE` at the top of the plan.

    \b
    Examples:
      inithold schema plan > inithold.schema.json
      inithold schema record
    """
    import json  # noqa: PLC0415

    from inithold.lifecycle import schemas  # noqa: PLC0415 - the help does not need it

    make = {"plan": schemas.plan, "record": schemas.record, "preview": schemas.preview}[which]
    click.echo(json.dumps(make(), indent=2))
    return 0
