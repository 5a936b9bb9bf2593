"""Plans made of a command line: a command, and URLs to wait for before it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from inithold.plan.model import CheckedPlan, PlanFile, StepEntry
from inithold.plan.validate import Faults, check_plan
from inithold.steps import registry

COMMAND = "command"


def plan(command: Sequence[str], *, waits: Sequence[str], unless: str | None, creates: str | None) -> CheckedPlan:
    """The plan of one command.

    Args:
        command: what to run, its output passed through.
        waits: URLs to wait for before it.
        unless: shell command that succeeds where the command is not needed.
        creates: path that exists where the command is not needed.

    Raises:
        UsageError: a URL is not one that can be waited for.
        PlanError: an extra is missing.
    """
    fields: dict[str, Any] = {"run": list(command), "unless": unless, "creates": creates}
    entries = [*_entries(waits), StepEntry(COMMAND, "command.run", _given(fields), needs=_ids(waits))]
    checked = _checked(entries, name=command[0].rpartition("/")[2] or command[0])
    return msgspec.structs.replace(checked, steps=tuple(_passed_through(step) for step in checked.steps))


def of_waits(urls: Sequence[str]) -> CheckedPlan:
    """The plan of URLs to wait for, side by side; see `plan`."""
    return _checked(_entries(urls), name="wait")


def with_waits(found: CheckedPlan, urls: Sequence[str]) -> CheckedPlan:
    """A plan with URLs to wait for put before its first steps; see `plan`."""
    waits = _checked(_entries(urls), name=found.name).steps
    ids = tuple(step.id for step in waits)
    steps = [step if step.needs else msgspec.structs.replace(step, needs=ids) for step in found.steps]
    return msgspec.structs.replace(found, steps=(*waits, *steps))


def _checked(entries: list[StepEntry], name: str) -> CheckedPlan:
    digest = hashlib.sha256(msgspec.json.encode([(entry.uses, entry.id) for entry in entries])).hexdigest()
    faults = Faults("")
    faults.name_steps([{"id": entry.id} for entry in entries])
    return check_plan(PlanFile(steps=entries, name=name), faults, source="", digest=digest)


def _passed_through(planned: Any) -> Any:
    if planned.id != COMMAND:
        return planned
    from inithold.steps.command import PassedThrough  # noqa: PLC0415 - only a command line has it

    return msgspec.structs.replace(planned, step=PassedThrough(**msgspec.structs.asdict(planned.step)))


def _ids(urls: Sequence[str]) -> list[str]:
    return [f"wait-{number}" for number in range(1, len(urls) + 1)]


def _entries(urls: Sequence[str]) -> list[StepEntry]:
    ids = _ids(urls)
    return [StepEntry(step_id, *registry.of_url(url), needs=[]) for step_id, url in zip(ids, urls, strict=True)]


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
