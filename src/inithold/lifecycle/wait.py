"""`inithold wait`: check until everything is in place; apply nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from inithold.errors import UsageError
from inithold.plan.model import CheckedPlan
from inithold.plan.order import without_others
from inithold.process.exits import say
from inithold.process.imports import collect_as_usual
from inithold.process.signals import EndingSignals
from inithold.redaction.redact import SECRETS
from inithold.runner.attempt import wait_for
from inithold.runner.events import Level, LogLine
from inithold.runner.run import one_pass
from inithold.runner.stream import Stream
from inithold.text.suggest import nearest
from inithold.watchers.console import console


def wait(
    plan: CheckedPlan, *, timeout: float, only: Sequence[str] = (), log_format: str = "auto", log_level: Level
) -> int:
    """Wait until a plan's steps are in place.

    Args:
        timeout: the most seconds to wait.
        only: ids of the steps to wait for; empty for all.

    Returns:
        0 when everything is in place, 1 on a timeout or a failure that waiting cannot cure, 128+N for a signal.

    Raises:
        UsageError: `only` names an unknown step, or none of the steps can be checked.
    """
    SECRETS.add_environment(os.environ)
    stream = Stream([console(log_format, log_level, width=max(len(step.id) for step in plan.steps))])
    ids = {planned.id for planned in plan.steps}
    for step_id in only:
        if step_id not in ids:
            raise UsageError(f"--step: there is no step {step_id!r}{nearest(step_id, ids)}")
    chosen = [planned for planned in plan.steps if planned.enabled and (not only or planned.id in only)]
    checked = [planned for planned in chosen if planned.step.verifiable]
    if not checked:
        raise UsageError(
            "a gate needs at least one step that can be checked, and there is none",
            hint="give the commands an unless or creates, or wait for other steps",
        )
    if left_out := [planned.id for planned in chosen if not planned.step.verifiable]:
        stream.emit(LogLine(text=f"left out, since they cannot be checked: {', '.join(left_out)}"))
    steps = (
        msgspec.structs.replace(planned, timeout=None, retry=None, on_failure="fail")
        for planned in without_others(checked)
    )
    collect_as_usual()
    runner = one_pass(plan, steps, wait_for, stream, timeout=timeout)
    with EndingSignals(runner.cancel) as signals:
        result = runner.run()
    stream.close()
    if signals.caught:
        return signals.exit_code
    if result.outcome == "ready":
        return 0
    lines = ["inithold wait: not everything is in place"]
    for step in result.steps:
        if step.outcome not in ("unchanged", "changed"):
            lines.append(f"  {step.step}: {step.reason}")
            lines += [f"    next: {step.hint}"] if step.hint else []
    say("\n".join(lines))
    return 1
