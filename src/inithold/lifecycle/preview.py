"""What a run would change: every step checked once, nothing applied."""

from __future__ import annotations

from typing import Literal

import msgspec

from inithold.errors import NotYet, StepFailed
from inithold.plan.model import CheckedPlan
from inithold.plan.order import in_order
from inithold.redaction.sanitize import sanitize
from inithold.runner.attempt import Attempts
from inithold.runner.events import clean
from inithold.runner.run import one_pass
from inithold.runner.stream import Stream
from inithold.steps.base import Change

VERSION = 1
CHECK_TIMEOUT = 30.0
"""Seconds for one step's check: a preview does not wait for servers to come up."""

Status = Literal["satisfied", "pending", "each_run", "after", "unmet", "unknown", "skipped"]


class StepPreview(msgspec.Struct, frozen=True):
    """What a run would do with a step.

    Args:
        id: id of the step.
        kind: kind of the step.
        status: `satisfied`; `pending` changes; `each_run` if it cannot be checked and runs every time; `after` if
            it is known only after other steps are applied; `unmet` if it would fail; `unknown` if its check
            failed; `skipped` by `when`.
        target: what it works on, without secrets.
        changes: the changes.
        after: ids of the nearest pending steps it depends on.
        reason: why the status is unknown.
        hint: what to do about it.
    """

    id: str
    kind: str
    status: Status
    target: str = ""
    changes: tuple[Change, ...] = ()
    after: tuple[str, ...] = ()
    reason: str = ""
    hint: str | None = None


class Preview(msgspec.Struct, frozen=True):
    """What a run would do.

    Args:
        version: version of the format: 1.
        name: name of the environment.
        digest: SHA-256 of the plan, hexadecimal.
        steps: the steps, in plan order.
    """

    name: str
    digest: str
    steps: tuple[StepPreview, ...]
    version: int = VERSION

    @property
    def pending(self) -> bool:
        """Whether a run would change anything; steps that run every time do not count."""
        return any(step.status in ("pending", "after") for step in self.steps)

    @property
    def certain(self) -> bool:
        """Whether every step could be checked and none would fail."""
        return not any(step.status in ("unknown", "unmet") for step in self.steps)

    def count(self, op: str) -> int:
        """The number of changes with this `op` (`+`, `~`, `?`)."""
        return sum(change.op == op for step in self.steps for change in step.changes)


def preview(plan: CheckedPlan) -> Preview:
    """Check every step of a plan once; change nothing."""
    changes: dict[str, tuple[Change, ...]] = {}
    errors: dict[str, NotYet | StepFailed] = {}

    def check(attempts: Attempts) -> tuple[Change, ...]:
        try:
            changes[attempts.planned.id] = clean(attempts.check())
        except (NotYet, StepFailed) as error:
            errors[attempts.planned.id] = error
        return ()

    steps = tuple(
        msgspec.structs.replace(planned, timeout=min(planned.timeout or CHECK_TIMEOUT, CHECK_TIMEOUT), retry=None)
        for planned in plan.steps
    )
    finished = {step.step: step for step in one_pass(plan, steps, check, Stream(())).run().steps}
    by_id = {planned.id: planned for planned in plan.steps}
    behind: dict[str, dict[str, None]] = {}
    """The nearest pending steps that each step depends on."""
    previews: dict[str, StepPreview] = {}
    for step_id in in_order({planned.id: planned.needs for planned in plan.steps}):
        planned, error = by_id[step_id], errors.get(step_id)
        behind[step_id] = {}
        for need in planned.needs:
            pending = previews[need].status in ("pending", "each_run")
            behind[step_id].update({need: None} if pending else behind[need])
        ops = {change.op for change in changes.get(step_id, ())}
        reason, hint = finished[step_id].reason, None
        status: Status
        if error is not None:
            status, reason, hint = "unknown", error.message, error.hint and sanitize(error.hint)
        elif step_id not in changes:
            status = "skipped" if finished[step_id].outcome == "skipped" else "unknown"
        elif "!" in ops:
            status = "unmet"
        elif ops:
            status = "each_run" if ops == {"?"} else "pending"
        else:
            status = "satisfied"
        # A pending step may explain a missing file or table, but not an unreachable server.
        unreachable = isinstance(error, NotYet) and error.probe
        if behind[step_id] and (status == "unmet" or (error is not None and not unreachable)):
            status = "after"
        previews[step_id] = StepPreview(
            step_id,
            planned.kind,
            status,
            sanitize(planned.step.subject()),
            changes.get(step_id, ()),
            tuple(behind[step_id]) if status == "after" else (),
            sanitize(reason),
            hint,
        )
    return Preview(sanitize(plan.name), plan.digest, tuple(previews[planned.id] for planned in plan.steps))
