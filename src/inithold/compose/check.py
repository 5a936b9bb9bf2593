"""Runs the rules over a stack and leaves out what its comments silence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from inithold.compose.rules import RULES

if TYPE_CHECKING:
    from inithold.compose.finding import Finding
    from inithold.compose.read.project import Project
    from inithold.compose.read.source import Source
    from inithold.compose.stack.roles import Stack

_IGNORE = re.compile(r"(?:^|\s)#\s*inithold:\s*ignore\[([^\]]*)\]")
_UNNAMED = re.compile(r"(?:^|\s)#\s*inithold:\s*ignore\b")


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
        self._lines = {source.name: _ignored_lines(source) for source in _all_sources(project)}
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


def _all_sources(project: Project) -> Iterable[Source]:
    """The files of the stack, and those they extend from."""
    layers = [layer for service in project.services.values() for layer in service.layers]
    extended = [place.source for layer in layers for place in layer.tree.places]
    return {source.name: source for source in [*project.sources, *extended]}.values()


def unknown_silences(project: Project) -> list[str]:
    """What is to be silenced and cannot be: names of no rule, and comments that name none."""
    known = [rule.ID for rule in RULES]
    found = []
    for source in _all_sources(project):
        for number, line in enumerate(source.text.split("\n") if "inithold:" in source.text else (), start=1):
            if match := _IGNORE.search(line):
                names = [name.strip() for name in match[1].split(",")]
                found += [_unknown(source, number, name, known) for name in names if name not in known]
            elif _UNNAMED.search(line):
                found.append(f"{source.name}:{number}: nothing is silenced: write ignore[RULE]")
    return found


def _unknown(source: Source, number: int, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{source.name}:{number}: there is no rule {name!r} to ignore{hint}"


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
