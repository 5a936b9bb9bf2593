"""Options that several commands share, each with its variable `INITHOLD_<OPTION>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inithold.text.duration import Duration

if TYPE_CHECKING:
    from inithold.plan.model import Pace

F = TypeVar("F", bound=Callable[..., Any])


class DurationType(click.ParamType[Duration]):
    """A duration as plans have it: `250ms`, `5s`, `2m`, `1h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        if isinstance(value, Duration):
            return value
        try:
            return Duration.parse(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class PaceType(DurationType):
    """How often: a duration, or `never`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Pace:
        from inithold.plan.model import Pace  # noqa: PLC0415 - the help does not need it

        try:
            return Pace.parse(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class CommandAfterDashes(click.Command):
    """A command that takes another command after `--`, untouched, as `ctx.obj`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            position = args.index("--")
            ctx.obj = args[position + 1 :]
            if not ctx.obj:
                ctx.fail("there is no command after --")
            args = args[:position]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


def command_after_dashes(ctx: click.Context) -> list[str]:
    """The command after `--`; empty where there is none."""
    return ctx.obj if isinstance(ctx.obj, list) else []


def option(name: str, *more: str, **attributes: Any) -> Callable[[F], F]:
    """An option, further names of it, and its variable."""
    variable = f"INITHOLD_{name.lstrip('-').replace('-', '_').upper()}"
    return click.option(name, *more, envvar=variable, show_envvar=True, **attributes)


plan_argument = click.argument("plan_source", metavar="[PLAN]", required=False, envvar="INITHOLD_PLAN")
marker = option("--marker", metavar="PATH", help="The marker file.  [default: /tmp/init-complete]")
record = option("--record", metavar="PATH", help="The record file.  [default: MARKER.record.json]")
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
    help="The least that is logged.",
)
