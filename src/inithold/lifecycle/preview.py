"""What a run would change: every step checked once, nothing applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from inithold.errors import NotYet, StepFailed
from inithold.lifecycle.one_pass import one_pass
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.redaction.sanitize import sanitize
from inithold.runner.attempt import Attempts
from inithold.runner.events import clean
from inithold.runner.stream import Stream, Watcher
from inithold.steps.base import Change

VERSION = 1
CHECK_TIMEOUT = 30.0
"""Seconds for one step's check: a preview asks once, it does not wait for servers to come up."""

Status = Literal["satisfied", "pending", "each_run", "after", "unmet", "unknown", "skipped"]


class StepPreview(msgspec.Struct, frozen=True):
    """What a run would do with a step.

    Args:
        id: of the step.
        kind: what it is made of.
        status: `satisfied`; `pending` changes; `each_run` where it cannot be checked and is done each time;
            `after` where it can be told only once other steps are applied; `unmet` where it would fail;
            `unknown` where it could not be checked; `skipped` by `when`.
        target: what it works on, without secrets.
        changes: the difference.
        after: ids of the nearest pending steps it depends on.
        reason: why it is unknown.
        hint: what to do about that.
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
        version: of this format: 1.
        name: of the environment.
        digest: SHA-256 of the plan, hexadecimal.
        steps: in plan order.
    """

    name: str
    digest: str
    steps: tuple[StepPreview, ...]
    version: int = VERSION

    @property
    def pending(self) -> bool:
        """Whether a run would change anything; what is done in each run does not count."""
        return any(step.status in ("pending", "after") for step in self.steps)

    @property
    def certain(self) -> bool:
        """Whether every step could be told, and none would fail."""
        return not any(step.status in ("unknown", "unmet") for step in self.steps)

    def count(self, op: str) -> int:
        """How many changes of a kind (`+`, `~`, `?`) there are."""
        return sum(change.op == op for step in self.steps for change in step.changes)


def preview(plan: CheckedPlan, watchers: Sequence[Watcher] = ()) -> Preview:
    """Check every step of a plan once; nothing is changed.

    Args:
        plan: whose steps are checked.
        watchers: who sees the events meanwhile.
    """
    checks = _Checks(plan)
    steps = tuple(
        msgspec.structs.replace(planned, timeout=min(planned.timeout or CHECK_TIMEOUT, CHECK_TIMEOUT), retry=None)
        for planned in plan.steps
    )
    result = one_pass(plan, steps, checks.check_step, Stream(watchers)).run()
    for planned, finished in zip(plan.steps, result.steps, strict=True):
        if planned.id not in checks.previews:
            checks.previews[planned.id] = _never_checked(planned, finished.outcome == "skipped", finished.reason)
    return Preview(sanitize(plan.name), plan.digest, tuple(checks.previews[planned.id] for planned in plan.steps))


class _Checks:
    """Looks at each step after those it needs, and remembers what is pending."""

    def __init__(self, plan: CheckedPlan) -> None:
        self._needs = {planned.id: planned.needs for planned in plan.steps}
        self.previews: dict[str, StepPreview] = {}
        self._behind: dict[str, tuple[str, ...]] = {}

    def check_step(self, attempts: Attempts) -> tuple[Change, ...]:
        planned = attempts.planned
        after = self._pending_before(planned.id)
        try:
            changes = clean(attempts.check())
        except NotYet as error:
            # Behind a pending step a file or a table may be missing because of it; a silent server is not.
            status: Status = "unknown" if error.probe or not after else "after"
            self.previews[planned.id] = _not_checked(planned, status, after, error)
            return ()
        except StepFailed as error:
            self.previews[planned.id] = _not_checked(planned, "after" if after else "unknown", after, error)
            return ()
        status = _status(changes, bool(after))
        self.previews[planned.id] = StepPreview(
            planned.id,
            planned.kind,
            status,
            sanitize(planned.step.subject()),
            changes,
            after if status == "after" else (),
        )
        return ()

    def _pending_before(self, step_id: str) -> tuple[str, ...]:
        """The nearest pending steps a step depends on; what it needs has been checked, or left out."""
        # A plan may be a chain of thousands: no recursion, and each step is followed once.
        stack = [step_id]
        while stack:
            needs = self._needs[stack[-1]]
            if unknown := [need for need in needs if need not in self._behind]:
                stack += unknown
                continue
            self._behind[stack.pop()] = self._nearest(needs)
        return self._behind[step_id]

    def _nearest(self, needs: Sequence[str]) -> tuple[str, ...]:
        nearest: dict[str, None] = {}
        for need in needs:
            other = self.previews.get(need)
            pending = other is not None and other.status in ("pending", "each_run")
            nearest.update(dict.fromkeys([need] if pending else self._behind[need]))
        return tuple(nearest)


def _status(changes: Sequence[Change], behind: bool) -> Status:
    ops = {change.op for change in changes}
    if not ops:
        return "satisfied"
    if "!" in ops:
        return "after" if behind else "unmet"
    return "each_run" if ops == {"?"} else "pending"


def _not_checked(
    planned: PlannedStep, status: Status, after: tuple[str, ...], error: NotYet | StepFailed
) -> StepPreview:
    return StepPreview(
        planned.id,
        planned.kind,
        status,
        sanitize(planned.step.subject()),
        after=after if status == "after" else (),
        reason=sanitize(error.message),
        hint=error.hint and sanitize(error.hint),
    )


def _never_checked(planned: PlannedStep, skipped: bool, reason: str) -> StepPreview:
    status: Status = "skipped" if skipped else "unknown"
    return StepPreview(planned.id, planned.kind, status, sanitize(planned.step.subject()), reason=sanitize(reason))
