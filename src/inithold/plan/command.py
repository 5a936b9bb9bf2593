"""Plans from a command line: a command, and URLs to wait for before it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from inithold.plan import source
from inithold.plan.faults import Faults
from inithold.plan.model import CheckedPlan, PlanFile, StepEntry
from inithold.plan.validate import check_plan
from inithold.steps import registry


class Named(msgspec.Struct, frozen=True):
    """A plan as the command line names it.

    Args:
        source: path of a plan file, or `module:attribute`.
        waits: URLs to wait for before its first steps.
    """

    source: str
    waits: tuple[str, ...] = ()

    def load(self) -> CheckedPlan:
        """Load the plan; raises as `source.load` and `of_waits`."""
        return with_waits(source.load(self.source), self.waits)


def plan(command: Sequence[str], *, waits: Sequence[str], unless: str | None, creates: str | None) -> CheckedPlan:
    """The plan of one command.

    Args:
        command: what to run, its output passed through.
        waits: URLs to wait for before it.
        unless: shell command that succeeds if the command is not needed.
        creates: path that exists if the command is not needed.

    Raises:
        UsageError: a URL is of no kind that can be waited for.
        PlanError: an extra is missing.
    """
    from inithold.steps.command import PassedThrough  # noqa: PLC0415 - only needed here

    guards = {name: value for name, value in (("unless", unless), ("creates", creates)) if value is not None}
    entries = _entries(waits)
    needs = [entry.id for entry in entries]
    entries.append(StepEntry("command", "command.run", {"run": list(command), **guards}, needs=needs))
    checked = _checked(entries, name=command[0].rpartition("/")[2] or command[0])
    *before, last = checked.steps
    passed_through = PassedThrough(**msgspec.structs.asdict(last.step))
    return msgspec.structs.replace(checked, steps=(*before, msgspec.structs.replace(last, step=passed_through)))


def of_waits(urls: Sequence[str]) -> CheckedPlan:
    """A plan that waits for URLs in parallel; see `plan`."""
    return _checked(_entries(urls), name="wait")


def with_waits(plan: CheckedPlan, urls: Sequence[str]) -> CheckedPlan:
    """A plan that waits for URLs, if there are any, before its first steps; see `plan`."""
    if not urls:
        return plan
    waits = of_waits(urls).steps
    ids = tuple(step.id for step in waits)
    steps = [step if step.needs else msgspec.structs.replace(step, needs=ids) for step in plan.steps]
    return msgspec.structs.replace(plan, steps=(*waits, *steps))


def _entries(urls: Sequence[str]) -> list[StepEntry]:
    return [StepEntry(f"wait-{index}", *registry.of_url(url), needs=[]) for index, url in enumerate(urls, 1)]


def _checked(entries: list[StepEntry], name: str) -> CheckedPlan:
    digest = hashlib.sha256(msgspec.json.encode([(entry.uses, entry.id) for entry in entries])).hexdigest()
    faults = Faults("")
    faults.name_steps([{"id": entry.id} for entry in entries])
    return check_plan(PlanFile(steps=entries, name=name), faults, digest=digest)
