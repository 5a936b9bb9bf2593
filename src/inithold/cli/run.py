"""`inithold run`"""

from __future__ import annotations

from typing import Any

import click

from inithold.cli import options
from inithold.cli.completion import complete_step
from inithold.errors import UsageError
from inithold.record.files import KEPT, MOST_KEPT


@click.command(cls=options.CommandAfterDashes)
@options.plan_argument
@options.option("--once", is_flag=True, help="Exit when ready instead of holding.")
@options.marker
@options.record
@options.option(
    "--keep",
    type=click.IntRange(0, MOST_KEPT),
    default=KEPT,
    show_default=True,
    help="Earlier records to keep.",
)
@options.option(
    "--wait",
    metavar="URL",
    multiple=True,
    help="Wait for this first: tcp://, postgresql://, mysql://, amqp://, redis://, http://, file://. Repeatable.",
)
@options.option(
    "--verify",
    type=options.PaceType(),
    help="While holding, check every step at this interval; never: only on demand (inithold rerun).",
)
@click.option(
    "--only",
    metavar="ID",
    multiple=True,
    shell_complete=complete_step,
    help="Repair: run this step only, count its needs as met, and leave marker and hold as they are. Repeatable.",
)
@click.option(
    "--from",
    "start",
    metavar="ID",
    shell_complete=complete_step,
    help="Repair: run this step and every step that depends on it, and leave marker and hold as they are.",
)
@options.option("--unless", metavar="CMD", help="With -- COMMAND: skip it if this shell command succeeds.")
@options.option("--creates", metavar="PATH", help="With -- COMMAND: skip it if this path exists.")
@options.log_format
@options.log_level
@click.pass_context
def run(
    ctx: click.Context,
    /,
    plan_source: str | None,
    wait: tuple[str, ...],
    only: tuple[str, ...],
    start: str | None,
    unless: str | None,
    creates: str | None,
    **settings: Any,
) -> int:
    """Run a plan once, report ready, and hold.

    PLAN is a file (default: inithold.yaml) or module:attribute. Instead of a plan, a command may be given after
    --; its output is passed through untouched.

    Exits 0 when stopped while holding, or at the end of --once, --only and --from; 1 if a step failed, 2 for a bad
    plan or usage, 128+N when signal N ended the run.

    \b
    Examples:
      inithold run
      inithold run --wait postgresql://app@db/games -- alembic upgrade head
    """
    options.warn_about_variables(settings["log_format"], settings["log_level"])
    from inithold.lifecycle.repair import part_of, repair_name  # noqa: PLC0415
    from inithold.lifecycle.run import run as live  # noqa: PLC0415 - the help does not need it
    from inithold.lifecycle.settings import Settings  # noqa: PLC0415

    command: list[str] = ctx.obj
    explicit = ctx.get_parameter_source("plan_source") is click.core.ParameterSource.COMMANDLINE
    if command and explicit:
        raise UsageError("give either a plan or a command after --, not both")
    repair = repair_name(only, start)
    if command and repair:
        raise UsageError("--only and --from choose steps of a plan: give no command after --")
    if not command and (unless or creates):
        raise UsageError("--unless and --creates guard a command: give one after --")

    from inithold.plan import command as from_command  # noqa: PLC0415
    from inithold.plan import source  # noqa: PLC0415

    named = from_command.Named(plan_source or source.DEFAULT, wait)

    def load() -> Any:
        if command:
            return from_command.plan(command, waits=wait, unless=unless, creates=creates)
        if repair:
            return from_command.with_waits(part_of(source.load(named.source), only, start), wait)
        return named.load()

    return live(load, Settings(**settings), repair=repair, named=None if command else named)
