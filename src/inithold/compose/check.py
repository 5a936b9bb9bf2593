"""Runs the rules over a stack and leaves out what its comments silence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from inithold.compose.rules import RULES

if TYPE_CHECKING:
    from inithold.compose.finding import Finding
    from inithold.compose.loading.project import Project
    from inithold.compose.loading.source import Source
    from inithold.compose.roles import Stack

_IGNORE = re.compile(r"(?:^|\s)#\s*inithold:\s*ignore\[([^\]]*)\]")


def check_stack(stack: Stack, services: Iterable[str] = ()) -> list[Finding]:
    """All findings of a stack, in the order of the files.

    Args:
        stack: what to look at.
        services: keep only what concerns these; everything where none are named.
    """
    names = frozenset(services)
    silenced = _Silence(stack.project)
    found = [finding for rule in RULES for finding in rule.check(stack)]
    order = {source.name: number for number, source in enumerate(stack.project.sources)}
    kept = [finding for finding in found if finding.concerns(names) and not silenced(finding)]
    return sorted(
        kept,
        key=lambda each: (order.get(each.location.file, len(order)), each.location.line, each.location.column),
    )


class _Silence:
    """What `# inithold: ignore[rule]` silences: on the line of a finding, alone on the line above it, or beside
    the name of a service for all of it.
    """

    def __init__(self, project: Project) -> None:
        self._lines = {source.name: _ignored_lines(source) for source in project.sources}
        self._services: dict[str, set[str]] = {}
        if any(self._lines.values()):
            for service in project.services.values():
                for layer in service.layers:
                    key = layer.written.place.key
                    rules = self._lines.get(layer.source.name, {}).get(key.start_mark.line + 1) if key else None
                    self._services.setdefault(service.name, set()).update(rules or ())

    def __call__(self, finding: Finding) -> bool:
        at = self._lines.get(finding.location.file, {}).get(finding.location.line, set())
        return finding.rule in at or finding.rule in self._services.get(finding.service, set())


def _ignored_lines(source: Source) -> dict[int, set[str]]:
    if "inithold:" not in source.text:
        return {}
    found: dict[int, set[str]] = {}
    waiting: set[str] = set()
    for number, line in enumerate(source.text.split("\n"), start=1):
        match = _IGNORE.search(line)
        rules = {name.strip() for name in match[1].split(",")} if match else set()
        if line.lstrip().startswith("#"):
            waiting |= rules
        elif line.strip():
            if rules or waiting:
                found[number] = rules | waiting
            waiting = set()
    return found
