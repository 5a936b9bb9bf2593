"""Runs the rules on a stack, and drops findings that its comments ignore."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from inithold.compose.rules import RULES

if TYPE_CHECKING:
    from inithold.compose.finding import Finding
    from inithold.compose.read.project import Project
    from inithold.compose.read.tree import Source
    from inithold.compose.stack.roles import Stack

_COMMENT = re.compile(r"(?:^|\s)#\s*inithold:\s*ignore(?:\[(?P<rules>[^\]]*)\]|\b)")


def check_stack(stack: Stack, services: Collection[str] = ()) -> list[Finding]:
    """Return the findings of a stack, in the order of the files.

    Args:
        stack: the stack.
        services: only findings about these services; all if empty.
    """
    # Changes to a merely probable init service are unsafe.
    unsure = {init.name for init in stack.all_inits if not init.sure}
    findings = [
        replace(finding, rule=rule.id, unsafe=finding.unsafe or bool(unsure & {finding.service, finding.init}))
        for rule in RULES
        for finding in rule.check(stack)
    ]
    # A comment counts on the line of a finding, alone above it, or beside a service's name for the whole service.
    silenced = {source.name: _silenced(source) for source in _all_sources(stack.project)}
    whole: dict[str, set[str]] = {}
    for service in stack.project.services.values() if any(silenced.values()) else ():
        for layer in service.layers:
            key = layer.written.place.key
            if key is not None:
                rules = silenced[layer.source.name].get(key.start_mark.line + 1, ())
                whole.setdefault(service.name, set()).update(rules)
    order = {source.name: number for number, source in enumerate(stack.project.sources)}
    kept = [
        finding
        for finding in findings
        if (not services or finding.service in services or finding.init in services)
        and finding.rule not in silenced.get(finding.location.file, {}).get(finding.location.line, ())
        and finding.rule not in whole.get(finding.service, ())
    ]
    return sorted(
        kept,
        key=lambda each: (order.get(each.location.file, len(order)), each.location.line, each.location.column),
    )


def unknown_silences(project: Project) -> list[str]:
    """Return notes on ignore comments that have no effect: unknown rules, or no rule at all."""
    known = [rule.id for rule in RULES]
    notes = []
    for source in _all_sources(project):
        for number, line in enumerate(source.text.split("\n") if "inithold:" in source.text else (), start=1):
            match = _COMMENT.search(line)
            if match is None:
                continue
            if match["rules"] is None:
                notes.append(f"{source.name}:{number}: nothing is silenced: write ignore[RULE]")
            for name in [] if match["rules"] is None else map(str.strip, match["rules"].split(",")):
                if name not in known:
                    near = get_close_matches(name, known, 1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    notes.append(f"{source.name}:{number}: there is no rule {name!r} to ignore{hint}")
    return notes


def _all_sources(project: Project) -> Collection[Source]:
    """Return the files of the stack and those they extend from."""
    layers = [layer for service in project.services.values() for layer in service.layers]
    extended = [place.source for layer in layers for place in layer.tree.places]
    return {source.name: source for source in [*project.sources, *extended]}.values()


def _silenced(source: Source) -> dict[int, set[str]]:
    """Return the ignored rules by 1-based line."""
    result: dict[int, set[str]] = {}
    pending: set[str] = set()
    for number, line in enumerate(source.text.split("\n") if "inithold:" in source.text else (), start=1):
        match = _COMMENT.search(line)
        rules = {name.strip() for name in match["rules"].split(",")} if match and match["rules"] else set()
        if line.lstrip().startswith("#"):
            pending |= rules
        elif line.strip():
            result[number] = rules | pending
            pending = set()
    return {number: rules for number, rules in result.items() if rules}
