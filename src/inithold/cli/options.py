"""Options that several commands share, each with its variable `INITHOLD_<OPTION>`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inithold.cli.completion import complete_file
from inithold.redaction.sanitize import one_line
from inithold.text.duration import Duration

if TYPE_CHECKING:
    from inithold.runner.events import Level

    _DurationType = click.ParamType[Duration]
else:
    _DurationType = click.ParamType  # generic from click 8.4 on

F = TypeVar("F", bound=Callable[..., Any])


class DurationType(_DurationType):
    """A duration as in plans: `250ms`, `5s`, `2m`, `1h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        try:
            return self.parse(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)

    def parse(self, text: str) -> Duration:
        return Duration.parse(text)


class PaceType(DurationType):
    """An interval: a duration, or `never`."""

    def parse(self, text: str) -> Duration:
        from inithold.plan.model import Pace  # noqa: PLC0415 - the help does not need it

        return Pace.parse(text)


class CommandAfterDashes(click.Command):
    """A command that stores another command after `--`, unparsed, in `ctx.obj`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = []
        if "--" in args:
            position = args.index("--")
            ctx.obj = args[position + 1 :]
            if not ctx.obj and not ctx.resilient_parsing:
                ctx.fail("there is no command after --")
            if not ctx.resilient_parsing and _is_command_line(ctx.obj[0]):
                given = " ".join(["inithold", self.name or "", *args[: position + 1], *ctx.obj])
                raise click.UsageError(f"no program is called {ctx.obj[0]!r}: leave its quotes out: {given}", ctx)
            return super().parse_args(ctx, args[:position])
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        with_value = {name for option in options if not option.is_flag for name in option.opts}
        first = 0
        while first < len(args) and args[first].startswith("-"):
            first += 2 if args[first] in with_value else 1
        words = args[first:]
        one_plan = any(isinstance(parameter, click.Argument) and parameter.nargs == 1 for parameter in self.params)
        several = one_plan and len(words) > 1 and not words[1].startswith("-")
        is_command = several or (words and (_is_program(words[0]) or _is_command_line(words[0])))
        if is_command and not ctx.resilient_parsing:
            given = " ".join(["inithold", self.name or "", *args[:first]])
            raise click.UsageError(f"a command goes after --: {given} -- {' '.join(words)}", ctx)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


def _is_program(word: str) -> bool:
    """Whether a word is a program instead of a plan or URL, so that a `--` is probably missing."""
    if "://" in word or word.endswith((".yaml", ".yml")) or ("/" not in word and Path(word).is_file()):
        return False
    return shutil.which(word) is not None


def _is_command_line(word: str) -> bool:
    """Whether a program and its arguments were quoted as one word, as for a shell."""
    program, *arguments = word.split() or [""]
    return bool(arguments) and shutil.which(word) is None and _is_program(program)


VARIABLES = frozenset(
    f"INITHOLD_{name}"
    for name in (
        *("ALL", "CREATES", "EXIT_CODE", "JSON", "KEEP", "LOG_FORMAT", "LOG_LEVEL", "MARKER", "ONCE"),
        *("OUTPUT", "PLAN", "RECORD", "SECRETS_DIR", "STEP", "TERMINATION_LOG", "TIMEOUT", "UNLESS"),
        *("VERIFY", "WAIT", "WATCH"),
    )
)
"""All variables. Collecting them from the commands would import every command at each start."""


def warn_about_variables(log_format: str = "auto", log_level: Level = "info") -> None:
    """Warn about unknown `INITHOLD_*` variables, because a misspelled one would be silently ignored."""
    from inithold.hold.verifier import CHECK_VARIABLE, RERUN_VARIABLE  # noqa: PLC0415 - the help does not need it

    unknown = sorted(name for name in os.environ if name.startswith("INITHOLD_") and name not in VARIABLES)
    # A hold's checks and reruns do not repeat the first run's warning.
    if not unknown or CHECK_VARIABLE in os.environ or RERUN_VARIABLE in os.environ:
        return
    from inithold.runner.events import LogLine  # noqa: PLC0415 - rarely needed
    from inithold.text.suggest import did_you_mean  # noqa: PLC0415 - as above
    from inithold.watchers.console import console  # noqa: PLC0415 - as above

    watcher = console(log_format, log_level)
    for name in unknown:
        text = one_line(f"unknown variable {name}{did_you_mean(name, VARIABLES)}")
        watcher.see(LogLine(text=text, level="warning"))


def option(name: str, *more: str, **attributes: Any) -> Callable[[F], F]:
    """An option with its further names and its variable."""
    variable = f"INITHOLD_{name.lstrip('-').replace('-', '_').upper()}"
    return click.option(name, *more, envvar=variable, show_envvar=True, **attributes)


files = click.option(
    "-f",
    "--file",
    "files",
    metavar="FILE",
    multiple=True,
    shell_complete=complete_file,
    help="A file of the stack. Repeatable. Default: the files that Compose would load.",
)
plan_argument = click.argument(
    "plan_source", metavar="[PLAN]", required=False, envvar="INITHOLD_PLAN", shell_complete=complete_file
)
marker = option(
    "--marker",
    metavar="PATH",
    shell_complete=complete_file,
    help="The marker file.  [default: /tmp/init-complete]",
)
record = option(
    "--record",
    metavar="PATH",
    shell_complete=complete_file,
    help="The record file.  [default: MARKER.record.json]",
)
log_format = option(
    "--log-format",
    type=click.Choice(["auto", "plain", "json"]),
    default="auto",
    show_default=True,
    help="Live table at a terminal and plain lines elsewhere, plain lines, or JSON lines.",
)
log_level = option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Log nothing below this level.",
)
