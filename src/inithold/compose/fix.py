"""Makes the changes of the findings, and proves that nothing else changed before a file is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inithold.compose.check import check_stack
from inithold.compose.edit.layout import CannotEdit
from inithold.compose.edit.plan import Planner
from inithold.compose.edit.write import apply_edits
from inithold.compose.finding import DELETE, Change, Finding
from inithold.compose.read.tree import plain
from inithold.errors import DocumentError

if TYPE_CHECKING:
    from inithold.compose.read.project import Project
    from inithold.compose.stack.roles import Stack

_ROUNDS = 12  # one fix may bring another fault to light: a wrapped command, then its dependents

_Key = tuple[str, str, str | None, tuple[tuple[str, ...], ...]]


@dataclass(slots=True)
class FixResult:
    """The outcome of a fix.

    Args:
        project: the stack as it was read.
        texts: the new texts of the files that change, by path.
        fixed: the findings that were fixed, in order.
        left: the findings that stay.
        refused: why a finding with changes could not be fixed, by finding.
    """

    project: Project
    texts: dict[Path, str] = field(default_factory=dict)
    fixed: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    refused: dict[Finding, str] = field(default_factory=dict)


def fix_stack(load: Callable[[dict[Path, str]], Stack], services: Sequence[str], *, unsafe: bool) -> FixResult:
    """Fix what can be fixed, in memory.

    Args:
        load: reads the stack, with the given texts in place of what is on disk.
        services: fix only what concerns these.
        unsafe: also what could change behaviour beyond the pattern.
    """
    stack = load({})
    result = FixResult(stack.project)
    refused: dict[_Key, str] = {}
    for _ in range(_ROUNDS):
        findings = check_stack(stack, services)
        wanted = [
            each for each in findings if each.changes and (unsafe or not each.unsafe) and _key(each) not in refused
        ]
        # What was asked for by a flag comes first: a command gets its shell before it is wrapped.
        batch = _compatible(sorted(wanted, key=lambda each: not each.unsafe))
        if not batch:
            break
        made = _Attempt(load, stack, result.texts, refused).fix(batch)
        result.fixed += made.fixed
        result.texts, stack = made.texts, made.stack
    result.left = check_stack(stack, services)
    result.refused = {each: refused[_key(each)] for each in result.left if _key(each) in refused}
    return result


def _key(finding: Finding) -> _Key:
    return finding.rule, finding.service, finding.init, tuple(change.path for change in finding.changes)


def _compatible(findings: Sequence[Finding]) -> list[Finding]:
    """As many findings as do not contradict one another; the rest comes in the next round."""
    wants: dict[tuple[str, tuple[str, ...]], Any] = {}
    chosen = []
    for finding in findings:
        if all(_fits(change, wants) for change in finding.changes):
            chosen.append(finding)
            wants.update({(change.service, change.path): change.value for change in finding.changes})
    return chosen


def _fits(change: Change, wants: dict[tuple[str, tuple[str, ...]], Any]) -> bool:
    if (change.service, change.path) in wants:
        return bool(wants[change.service, change.path] == change.value)
    return not any((change.service, change.path[:length]) in wants for length in range(1, len(change.path)))


@dataclass(slots=True)
class _Made:
    fixed: list[Finding]
    texts: dict[Path, str]
    stack: Stack


class _Attempt:
    """Fixes a batch whole, or by halves until those that cannot be fixed are singled out."""

    def __init__(
        self,
        load: Callable[[dict[Path, str]], Stack],
        stack: Stack,
        texts: dict[Path, str],
        refused: dict[_Key, str],
    ) -> None:
        self._load = load
        self._refused = refused
        self._made = _Made([], dict(texts), stack)

    def fix(self, batch: Sequence[Finding]) -> _Made:
        try:
            self._fix(batch)
        except (CannotEdit, DocumentError) as error:
            if len(batch) == 1:
                self._refused[_key(batch[0])] = str(error)
            else:
                middle = len(batch) // 2
                self.fix(batch[:middle])
                self.fix(batch[middle:])
        return self._made

    def _fix(self, batch: Sequence[Finding]) -> None:
        changes = list({(each.service, each.path): each for finding in batch for each in finding.changes}.values())
        before = self._made.stack.project
        edits = Planner(before).edits(changes)
        texts = {**self._made.texts, **apply_edits(edits)}
        if all(texts[path] == self._made.texts.get(path) for path in texts):
            raise CannotEdit("what would fix it is there already")
        stack = self._load(texts)
        if others := _differences(_view(stack.project), _announced(before, changes)):
            raise CannotEdit(f"its text is shared: the edit would also change {', '.join(others)}")
        self._made.texts, self._made.stack = texts, stack
        self._made.fixed += batch


def _view(project: Project) -> dict[str, Any]:
    view: dict[str, Any] = {name: plain(service.view) for name, service in project.services.items()}
    for service in view.values():
        for entry in (service.get("depends_on") or {}).values():
            if isinstance(entry, dict):
                # The long form leaves out what the short one implies.
                entry.setdefault("required", True)
                entry.setdefault("condition", "service_started")
    return {"services": view, "top": {name: plain(value) for name, value in project.top.items()}}


def _differences(view: dict[str, Any], announced: dict[str, Any]) -> list[str]:
    """The fields that are not as announced: `web.restart`."""
    found = []
    for kind in ("services", "top"):
        one, other = view[kind], announced[kind]
        for name in [*one, *(name for name in other if name not in one)]:
            here, there = one.get(name), other.get(name)
            if here == there:
                continue
            if isinstance(here, dict) and isinstance(there, dict):
                found += [f"{name}.{key}" for key in {**here, **there} if here.get(key) != there.get(key)]
            else:
                found.append(name)
    return found


def _announced(project: Project, changes: Sequence[Change]) -> dict[str, Any]:
    """The stack as it was, with the changes made."""
    view = _view(project)
    for change in changes:
        if not change.path:
            view["services"][change.service] = dict(change.value)
            continue
        data = view["services"][change.service]
        for name in change.path[:-1]:
            if not isinstance(data.get(name), dict):
                data[name] = {}
            data = data[name]
        if change.value is DELETE:
            data.pop(change.path[-1], None)
        else:
            data[change.path[-1]] = change.value
    for service in view["services"].values():
        for entry in (service.get("depends_on") or {}).values():
            if isinstance(entry, dict):
                entry.setdefault("required", True)
    return view
