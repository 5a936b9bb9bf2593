"""The commands, one file each: parse the command line, call one package, print the result."""

from __future__ import annotations

import sys
from importlib import import_module
from io import StringIO

import click
from click.core import ParameterSource

from inithold.process.exits import reported, say
from inithold.process.streams import lost
from inithold.text.suggest import nearest
from inithold.version import __version__

COMMANDS = {
    "run": "Run a plan once, report ready, and hold.",
    "plan": "Show what a run would change; change nothing.",
    "wait": "Wait until the environment is ready; then become a command.",
    "health": "Is this container's environment ready?",
    "rerun": "Make a verifying hold run its plan again now.",
    "status": "Show the latest run, also while it is running.",
    "report": "Write a run as a self-contained HTML page.",
    "kinds": "List the step kinds, or describe one.",
    "schema": "Print the JSON Schema of the plan or the record.",
    "new": "Draft a plan from a Compose stack.",
    "compose": "Find and fix start-up faults in Compose files.",
    "completion": "Print the completion script for a shell.",
    "version": "Print the version.",
    "help": "Show this, or the help of a command.",
}


class LazyGroup(click.Group):
    """Imports a command's file only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the interface's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            ctx.fail(f"no such command {cmd_name!r}{nearest(cmd_name, COMMANDS)}")
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        command = getattr(import_module(f"inithold.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - for the type checker
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every option has a variable INITHOLD_<OPTION>.",
)
@click.version_option(__version__, "-V", "--version", message="inithold %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> int | None:
    """Bring a container stack from "containers started" to "environment ready", once, and hold.

    \b
    Examples:
      inithold run --wait postgresql://app@db/games -- alembic upgrade head
      inithold plan
    """
    return help_without_command(ctx)


def help_without_command(ctx: click.Context) -> int | None:
    """Show a group's help if no command was given, and exit 2, as in every version of click."""
    if ctx.invoked_subcommand is not None:
        return None
    click.echo(ctx.get_help())
    return 2


@cli.command()
def version() -> int:
    """Print the version."""
    click.echo(f"inithold {__version__}")
    return 0


@cli.command(name="help")
@click.argument(
    "command", nargs=-1, shell_complete=lambda _ctx, _param, word: [n for n in COMMANDS if n.startswith(word)]
)
@click.pass_context
def help_(ctx: click.Context, command: tuple[str, ...]) -> int:
    """Show the help of a command: inithold help compose fix."""
    context = ctx.find_root()
    for name in command:
        group = context.command
        child = group.get_command(context, name) if isinstance(group, click.Group) else None
        if child is None:
            context.fail(f"no such command {name!r}")
        context = click.Context(child, context, info_name=name)
    click.echo(context.get_help())
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None for this process's.

    Returns:
        the exit code.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] in (["run"], ["wait"], ["plan"]):
        # Commands that may be a container's main process.
        from inithold.lifecycle.last_words import reported as with_last_words  # noqa: PLC0415

        return with_last_words(lambda: _invoke(arguments))
    return reported(lambda: _invoke(arguments))


def _invoke(arguments: list[str] | None) -> int:
    output = sys.stdout
    try:
        returned = cli.main(arguments, prog_name="inithold", standalone_mode=False)
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        text = shown.getvalue().rstrip()
        if isinstance(error, click.BadParameter) and error.ctx and error.param and error.param.name:
            # click 8.1 does not name the variable that a wrong value came from.
            variable = error.param.envvar
            source = error.ctx.get_parameter_source(error.param.name)
            if source is ParameterSource.ENVIRONMENT and isinstance(variable, str) and variable not in text:
                text += f" (env var: '{variable}')"
        say(text)
        return error.exit_code
    except click.Abort:
        return 130
    except SystemExit:
        if sys.stdout is output:
            raise
        # On a closed pipe, click wraps sys.stdout so that flushing cannot fail, and exits.
        sys.stdout = output
        return lost(BrokenPipeError())
    return returned if isinstance(returned, int) else 0
