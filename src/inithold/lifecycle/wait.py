"""The gate: check until the environment holds, apply nothing, then become the program that waited for it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from inithold.errors import UsageError
from inithold.lifecycle.one_pass import one_pass
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.plan.order import without_others
from inithold.process.exits import say
from inithold.process.signals import EndingSignals
from inithold.redaction.redact import SECRETS
from inithold.runner.attempt import wait_for
from inithold.runner.events import Level, LogLine, StepFinished
from inithold.runner.stream import Stream
from inithold.text.suggest import nearest
from inithold.watchers.console import console


class Gate:
    """Waits for a plan's steps to hold.

    Args:
        plan: whose steps are checked.
        timeout: the most to wait, in seconds.
        only: ids of the steps to wait for; all if empty.
        log_format: `auto`, `plain` or `json`.
        log_level: the least that is logged.

    Raises:
        UsageError: `only` names no step, or nothing in the plan can be checked.
    """

    def __init__(
        self,
        plan: CheckedPlan,
        *,
        timeout: float,
        only: Sequence[str] = (),
        log_format: str = "auto",
        log_level: Level = "info",
    ) -> None:
        SECRETS.add_environment(os.environ)
        self._stream = Stream([console(log_format, log_level, width=max(len(step.id) for step in plan.steps))])
        self._timeout = timeout
        self._plan = msgspec.structs.replace(plan, steps=self._chosen(plan, only))

    def wait(self) -> int:
        """Wait.

        Returns:
            0 when everything holds, 1 when the time is up or something can never hold, 128+N for a signal.
        """
        runner = one_pass(self._plan, self._plan.steps, wait_for, self._stream, timeout=self._timeout)
        with EndingSignals(runner.cancel) as signals:
            result = runner.run()
        self._stream.close()
        if signals.caught:
            return signals.exit_code
        if result.outcome == "ready":
            return 0
        self._say_what_does_not_hold(result.steps)
        return 1

    def _chosen(self, plan: CheckedPlan, only: Sequence[str]) -> tuple[PlannedStep, ...]:
        ids = {planned.id for planned in plan.steps}
        for step_id in only:
            if step_id not in ids:
                raise UsageError(f"--step: there is no step {step_id!r}{nearest(step_id, ids)}")
        chosen = [planned for planned in plan.steps if planned.enabled and (not only or planned.id in only)]
        checked = [planned for planned in chosen if planned.step.verifiable]
        if not checked:
            raise UsageError(
                "a gate needs something that can be checked, and nothing here can",
                hint="give the commands an unless or creates, or wait for other steps",
            )
        if left_out := [planned.id for planned in chosen if not planned.step.verifiable]:
            self._stream.emit(LogLine(text=f"left out, since they cannot be checked: {', '.join(left_out)}"))
        return tuple(
            msgspec.structs.replace(planned, timeout=None, retry=None, on_failure="fail")
            for planned in without_others(checked)
        )

    def _say_what_does_not_hold(self, steps: Sequence[StepFinished]) -> None:
        lines = ["inithold wait: not everything is in place"]
        for step in steps:
            if step.outcome not in ("unchanged", "changed"):
                lines.append(f"  {step.step}: {step.reason}")
                lines += [f"    next: {step.hint}"] if step.hint else []
        say("\n".join(lines))
