"""`inithold plan`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from inithold.cli import options

if TYPE_CHECKING:
    from inithold.lifecycle.preview import Preview, StepPreview

PENDING_EXIT = 3
MOST_STEPS = 40
"""In plans with more steps, those with nothing to do are only counted."""
_COLOURS = {"+": "green", "~": "yellow", "!": "red", "?": "blue"}


@click.command()
@options.plan_argument
@options.option("--json", is_flag=True, help="Print JSON (inithold schema preview).")
@options.option("--exit-code", is_flag=True, help="Exit 3 if changes are pending.")
def plan(plan_source: str | None, json: bool, exit_code: bool) -> int:
    """Show what a run would change; change nothing.

    PLAN is a file (default: inithold.yaml) or module:attribute. Each step is checked once. = is in place, + will
    be created, ~ will be changed, ! is missing and its step does not create it, ? cannot be checked and runs each
    time. Nothing is ever deleted.

    Exits 0; with --exit-code 3 if changes are pending; 1 if a check fails or a step would fail; 2 for a bad
    plan.

    \b
    Examples:
      inithold plan
      inithold plan --exit-code services/init/inithold.yaml
    """
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    import msgspec  # noqa: PLC0415 - the help does not need it

    from inithold.lifecycle.last_words import leave  # noqa: PLC0415
    from inithold.lifecycle.preview import preview  # noqa: PLC0415
    from inithold.plan import source  # noqa: PLC0415
    from inithold.process.streams import coloured  # noqa: PLC0415
    from inithold.redaction.redact import SECRETS  # noqa: PLC0415

    SECRETS.add_environment(os.environ)
    options.warn_about_variables()
    result = preview(source.load(plan_source or source.DEFAULT))
    text = msgspec.json.format(msgspec.json.encode(result)).decode() if json else _text(result)
    click.echo(text, color=coloured(sys.stdout))
    if not result.certain:
        words = _problems(result)
        for step in result.steps:
            if step.status in ("unmet", "unknown"):
                target = f" on {step.target}" if step.target else ""
                words += [f"step {step.id} ({step.kind}{target})", *_step(step)]
        leave(click.unstyle("\n".join(words)))
        return 1
    return PENDING_EXIT if exit_code and result.pending else 0


def _text(preview: Preview) -> str:
    hidden = ("satisfied", "skipped") if len(preview.steps) > MOST_STEPS else ()
    shown = [step for step in preview.steps if step.status not in hidden]
    width = max((len(step.id) for step in shown), default=0)
    lines = [click.style(preview.name, bold=True), ""]
    for step in shown:
        for number, line in enumerate(_step(step)):
            lines.append(f"  {'' if number else step.id:<{width}}  {line}")
    if folded := len(preview.steps) - len(shown):
        lines.append(click.style(f"  {folded} more, in place or skipped", fg="bright_black"))
    counts = (
        (preview.count("+"), "to create"),
        (preview.count("~"), "to change"),
        (preview.count("?"), "to run each time"),
        (sum(step.status == "after" for step in preview.steps), "known only after that"),
    )
    sums = ", ".join(f"{number} {what}" for number, what in counts if number)
    if not preview.certain:
        summary = " ".join([*([f"{sums}."] if sums else []), *_problems(preview)])
    else:
        summary = f"{sums or 'nothing to change, everything is in place'}."
    return "\n".join([*lines, "", f"Plan: {summary}"])


def _step(step: StepPreview) -> list[str]:
    match step.status:
        case "satisfied":
            return [click.style(f"= {step.target or 'in place'}", fg="bright_black")]
        case "skipped":
            return [click.style(f"skipped: {step.reason}", fg="bright_black")]
        case "after":
            return [click.style(f"after {', '.join(step.after)}", fg="cyan")]
        case "unknown":
            hint = [f"  next: {step.hint}"] if step.hint else []
            return [click.style(f"cannot tell: {step.reason}", fg="red"), *hint]
    lines: list[str] = []
    for change in step.changes:
        lines.append(click.style(str(change), fg=_COLOURS[change.op]))
        lines += [click.style(f"    {detail}", fg="bright_black") for detail in change.details]
    return lines


def _problems(preview: Preview) -> list[str]:
    by_status = (
        (what, [step.id for step in preview.steps if step.status == status])
        for status, what in (("unmet", "Would fail"), ("unknown", "Cannot tell"))
    )
    return [f"{what}: {', '.join(ids)}." for what, ids in by_status if ids]
