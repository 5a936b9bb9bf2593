"""What a run would change: every step checked once, nothing applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from inithold.errors import NotYet, StepFailed
from inithold.plan.model import CheckedPlan
from inithold.redaction.sanitize import sanitize
from inithold.runner.attempt import Attempts
from inithold.runner.events import clean
from inithold.runner.run import one_pass
from inithold.runner.stream import Stream, Watcher
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


def preview(plan: CheckedPlan, watchers: Sequence[Watcher] = ()) -> Preview:
    """Check every step of a plan once; change nothing."""
    previews: dict[str, StepPreview] = {}
    needs = {planned.id: planned.needs for planned in plan.steps}
    behind: dict[str, tuple[str, ...]] = {}

    def pending_before(step_id: str) -> tuple[str, ...]:
        """The nearest pending steps that a step depends on; all that it needs are already checked or skipped."""
        # No recursion: a plan may be a chain of thousands of steps. `behind` keeps each step's answer.
        stack = [step_id]
        while stack:
            if unknown := [need for need in needs[stack[-1]] if need not in behind]:
                stack += unknown
                continue
            closest: dict[str, None] = {}
            for need in needs[last := stack.pop()]:
                pending = need in previews and previews[need].status in ("pending", "each_run")
                closest.update(dict.fromkeys([need] if pending else behind[need]))
            behind[last] = tuple(closest)
        return behind[step_id]

    def check(attempts: Attempts) -> tuple[Change, ...]:
        planned = attempts.planned
        after = pending_before(planned.id)
        changes: tuple[Change, ...] = ()
        reason, hint = "", None
        status: Status
        try:
            changes = clean(attempts.check())
        except (NotYet, StepFailed) as error:
            # A pending step may explain a missing file or table, but not an unreachable server.
            unreachable = isinstance(error, NotYet) and error.probe
            status = "unknown" if unreachable or not after else "after"
            reason, hint = sanitize(error.message), error.hint and sanitize(error.hint)
        else:
            ops = {change.op for change in changes}
            if "!" in ops:
                status = "after" if after else "unmet"
            else:
                status = "satisfied" if not ops else "each_run" if ops == {"?"} else "pending"
        previews[planned.id] = StepPreview(
            planned.id,
            planned.kind,
            status,
            sanitize(planned.step.subject()),
            changes,
            after if status == "after" else (),
            reason,
            hint,
        )
        return ()

    steps = tuple(
        msgspec.structs.replace(planned, timeout=min(planned.timeout or CHECK_TIMEOUT, CHECK_TIMEOUT), retry=None)
        for planned in plan.steps
    )
    result = one_pass(plan, steps, check, Stream(watchers)).run()
    for planned, finished in zip(plan.steps, result.steps, strict=True):
        if planned.id not in previews:
            previews[planned.id] = StepPreview(
                planned.id,
                planned.kind,
                "skipped" if finished.outcome == "skipped" else "unknown",
                sanitize(planned.step.subject()),
                reason=sanitize(finished.reason),
            )
    return Preview(sanitize(plan.name), plan.digest, tuple(previews[planned.id] for planned in plan.steps))
