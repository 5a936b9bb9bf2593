"""Applies the changes of the findings in memory, and verifies that the merged stack changed in nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inithold.compose.check import check_stack
from inithold.compose.edit.layout import CannotEdit
from inithold.compose.edit.plan import plan_edits
from inithold.compose.edit.write import apply_edits
from inithold.compose.finding import DELETE, Change, Finding
from inithold.compose.read.tree import plain
from inithold.errors import DocumentError

if TYPE_CHECKING:
    from inithold.compose.read.project import Project
    from inithold.compose.stack.roles import Stack

_ROUNDS = 12  # A fix may lead to new findings: first a command is wrapped, then its dependents must wait.


@dataclass(slots=True)
class FixResult:
    """The outcome of a fix.

    Args:
        project: the stack as it was read.
        texts: the new texts of changed files, by path.
        fixed: the fixed findings, in order.
        left: the remaining findings.
        refused: why a finding with changes could not be fixed.
    """

    project: Project
    texts: dict[Path, str] = field(default_factory=dict)
    fixed: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    refused: dict[Finding, str] = field(default_factory=dict)


def fix_stack(load: Callable[[dict[Path, str]], Stack], services: Sequence[str], *, unsafe: bool) -> FixResult:
    """Fix what can be fixed, in memory.

    Args:
        load: reads the stack, with the given texts instead of those on disk.
        services: fix only what concerns these.
        unsafe: also make changes that may alter behaviour beyond the pattern.
    """
    stack = load({})
    result = FixResult(stack.project)
    refused: dict[object, str] = {}
    for _ in range(_ROUNDS):
        fixable = [each for each in check_stack(stack, services) if each.changes and (unsafe or not each.unsafe)]
        pending = [each for each in fixable if _key(each) not in refused]
        # Unsafe fixes, which a flag asked for, come first: a command gets its shell before it is wrapped.
        batches = [_compatible(sorted(pending, key=lambda each: not each.unsafe))]
        if not batches[0]:
            break
        fixed_before = len(result.fixed)
        # Bisect a batch that fails, to isolate the findings that cannot be fixed.
        while batches:
            batch = batches.pop(0)
            try:
                result.texts, stack = _made(load, stack.project, result.texts, batch)
                result.fixed += batch
            except (CannotEdit, DocumentError) as error:
                middle = len(batch) // 2
                if middle:
                    batches[:0] = [batch[:middle], batch[middle:]]
                else:
                    refused[_key(batch[0])] = str(error)
        if len(result.fixed) > fixed_before:
            refused.clear()  # They may be possible now.
    result.left = check_stack(stack, services)
    result.refused = {each: refused[_key(each)] for each in result.left if _key(each) in refused}
    return result


def _key(finding: Finding) -> object:
    return finding.rule, finding.service, finding.init, tuple(change.path for change in finding.changes)


def _compatible(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings whose changes do not conflict; the others come in the next round."""
    goals: dict[tuple[str, tuple[str, ...]], Any] = {}
    chosen = []
    for finding in findings:
        own = {(change.service, change.path): change.value for change in finding.changes}
        same = all(goals.get(key, value) == value for key, value in own.items())
        inside = any(
            (name, path[:end]) in goals
            for name, path in own
            if (name, path) not in goals
            for end in range(1, len(path))
        )
        if same and not inside:
            chosen.append(finding)
            goals |= own
    return chosen


def _made(
    load: Callable[[dict[Path, str]], Stack], project: Project, texts: dict[Path, str], batch: Sequence[Finding]
) -> tuple[dict[Path, str], Stack]:
    """Make the changes of a batch; return the new texts and the stack loaded from them.

    Raises:
        CannotEdit: the changes cannot be made, or would change something else, too.
        DocumentError: the result cannot be read.
    """
    changes = list({(each.service, each.path): each for finding in batch for each in finding.changes}.values())
    new = {**texts, **apply_edits(plan_edits(project, changes))}
    if new == texts:
        raise CannotEdit("the fix is already there")
    stack = load(new)
    if others := _differences(_view(stack.project), _announced(project, changes)):
        raise CannotEdit(f"its text is shared: the edit would also change {', '.join(others)}")
    return new, stack


def _view(project: Project) -> dict[str, Any]:
    view: dict[str, Any] = {name: plain(service.view) for name, service in project.services.items()}
    _complete(view)
    return {"services": view, "top": {name: plain(value) for name, value in project.top.items()}}


def _complete(services: dict[str, Any]) -> None:
    """Fill in the defaults of `depends_on` entries."""
    for service in services.values():
        for entry in (service.get("depends_on") or {}).values():
            if isinstance(entry, dict):
                entry.setdefault("required", True)
                entry.setdefault("condition", "service_started")


def _differences(view: dict[str, Any], announced: dict[str, Any]) -> list[str]:
    """Return the fields that differ from what was announced, such as `web.restart`."""
    names: list[str] = []
    for kind in ("services", "top"):
        for name in {**view[kind], **announced[kind]}:
            here, there = view[kind].get(name), announced[kind].get(name)
            if isinstance(here, dict) and isinstance(there, dict):
                names += [f"{name}.{key}" for key in {**here, **there} if here.get(key) != there.get(key)]
            elif here != there:
                names.append(name)
    return names


def _announced(project: Project, changes: Sequence[Change]) -> dict[str, Any]:
    """Return the stack with the changes made to its data; the edited files must yield the same."""
    view = _view(project)
    for change in changes:
        if not change.path:
            view["services"][change.service] = deepcopy(change.value)
            continue
        data = view["services"][change.service]
        for name in change.path[:-1]:
            if not isinstance(data.get(name), dict):
                data[name] = {}
            data = data[name]
        if change.value is DELETE:
            data.pop(change.path[-1], None)
        else:
            data[change.path[-1]] = deepcopy(change.value)  # `_complete` modifies it.
    _complete(view["services"])
    return view
