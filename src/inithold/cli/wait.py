"""`inithold wait`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from inithold.cli import options
from inithold.cli.completion import complete_file, complete_step
from inithold.errors import UsageError


@click.command(cls=options.CommandAfterDashes)
@click.argument("what", metavar="[PLAN | URL...]", nargs=-1, shell_complete=complete_file)
@options.option(
    "--timeout", type=options.DurationType(), default="5m", show_default=True, help="How long to wait at most."
)
@options.option(
    "--step",
    metavar="ID",
    multiple=True,
    shell_complete=complete_step,
    help="Wait for this step only. Repeatable.",
)
@options.log_format
@options.log_level
@click.pass_context
def wait(
    ctx: click.Context, /, what: tuple[str, ...], timeout: float, step: tuple[str, ...], **settings: Any
) -> int:
    """Wait until the environment is ready; then become a command.

    Checks every step of a plan (default: inithold.yaml), or URLs (tcp://, postgresql://, mysql://, amqp://,
    redis://, http(s)://, file://), again and again, and applies nothing. The command after -- then takes this
    process over: same PID, environment and standard streams.

    Exits with the command's code, or 0 without a command; 1 on a timeout, 2 for a bad plan or usage, 126 or 127 if
    the command cannot be run or does not exist.

    \b
    Examples:
      inithold wait tcp://db:5432 http://search:9200/health --timeout 2m
      inithold wait inithold.yaml --step schema -- uvicorn app:main
    """
    options.warn_about_variables(settings["log_format"], settings["log_level"])
    from inithold.lifecycle.wait import wait as wait_for  # noqa: PLC0415 - the help does not need it
    from inithold.plan import command, source  # noqa: PLC0415 - as above
    from inithold.process.become import become  # noqa: PLC0415 - as above
    from inithold.steps import registry  # noqa: PLC0415 - as above

    if what and all("://" in word for word in what):
        plan = command.of_waits(what)
    elif len(what) > 1:
        raise UsageError("give one plan, or URLs, not both")
    elif what and registry.HOST_AND_PORT.fullmatch(what[0]) and not Path(what[0]).exists():
        raise UsageError(f"{what[0]} is neither a plan nor a URL; did you mean tcp://{what[0]}?")
    else:
        plan = source.load(what[0] if what else source.default())
    code = wait_for(plan, timeout=timeout, only=step, **settings)
    return code if code != 0 or not ctx.obj else become(ctx.obj)
