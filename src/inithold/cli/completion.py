"""`inithold completion`, and the completions of the commands' arguments."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script for a shell.

    It completes commands, options, step kinds, step ids of the plan, and files.

    \b
    Examples:
      eval "$(inithold completion bash)"     in ~/.bashrc; for zsh, in ~/.zshrc
      inithold completion fish > ~/.config/fish/completions/inithold.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has had these three since 8.0
    complete = kind(ctx.find_root().command, {}, "inithold", "_INITHOLD_COMPLETE")
    # Not `source()`, which starts bash to check its version.
    click.echo(complete.source_template % complete.source_vars())
    return 0


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Let the shell complete a file's name."""
    return [CompletionItem(incomplete, type="file")]


def complete_kind(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete step kinds."""
    from inithold.steps import registry  # noqa: PLC0415 - only when completing

    return [CompletionItem(name) for name in registry.names() if name.startswith(incomplete)]


def complete_rule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Rules of `inithold compose check`."""
    from inithold.compose.rules import RULES  # noqa: PLC0415 - only when completing

    return [CompletionItem(rule.id) for rule in RULES if rule.id.startswith(incomplete)]


def complete_step(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete the step ids of the plan on the command line, or of the default plan."""
    from inithold.errors import InitholdError  # noqa: PLC0415 - only when completing
    from inithold.plan.load import step_ids  # noqa: PLC0415 - as above
    from inithold.plan.source import default  # noqa: PLC0415 - as above

    given = [ctx.params.get("plan_source"), *(ctx.params.get("what") or ()), *ctx.args]
    try:
        ids = step_ids(next(filter(None, given), default()))
    except InitholdError:
        return []
    return [CompletionItem(name) for name in ids if name.startswith(incomplete)]
