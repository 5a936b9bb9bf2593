"""The hall: each command parses, calls one room and prints. One file per command."""

from __future__ import annotations

import sys
from importlib import import_module
from io import StringIO

import click

from inithold.process.exits import reported, say
from inithold.process.streams import lost
from inithold.text.suggest import nearest
from inithold.version import __version__

COMMANDS = {
    "run": "Run a plan once, say ready, and hold.",
    "plan": "Show what a run would change; change nothing.",
    "wait": "Wait until the environment holds; then become a command.",
    "health": "Is this container's environment ready?",
    "rerun": "Let a hold that verifies run its plan again now.",
    "status": "Show the record of the latest or running run.",
    "report": "Write a run as a self-contained page.",
    "kinds": "List the step kinds, or describe one.",
    "schema": "Print the JSON Schema of the plan or the record.",
    "new": "Draft a plan from a Compose stack.",
    "compose": "Find and mend start-up faults in Compose files.",
}


class LazyGroup(click.Group):
    """Imports a command's file when it is called: the others would only cost time."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the interface's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            ctx.fail(f"no such command {cmd_name!r}{nearest(cmd_name, COMMANDS)}")
        found = getattr(import_module(f"inithold.cli.{cmd_name}"), cmd_name)
        assert isinstance(found, click.Command)  # noqa: S101 - for the type checker
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every option has a variable INITHOLD_<OPTION>. Documentation: https://inithold.readthedocs.io",
)
@click.version_option(__version__, message="inithold %(version)s")
def cli() -> None:
    """Bring a container stack from "containers started" to "environment ready", once, and hold."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; those of this process if None.

    Returns:
        the exit code.
    """
    return reported(lambda: _invoke(arguments))


def _invoke(arguments: list[str] | None) -> int:
    output = sys.stdout
    try:
        returned = cli.main(arguments, prog_name="inithold", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        text = StringIO()
        error.show(text)
        say(text.getvalue())
        return error.exit_code
    except click.Abort:
        return 130
    except SystemExit:
        if sys.stdout is output:
            raise
        # So click ends where nobody reads the output: with a stream in its place that forgives everything.
        sys.stdout = output
        return lost(BrokenPipeError())
    return returned if isinstance(returned, int) else 0
