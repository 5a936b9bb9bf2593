"""Formats findings as text, JSON, SARIF and GitHub workflow commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from inithold.compose.finding import DELETE, Finding, Severity
from inithold.compose.rules import RULES
from inithold.version import DOCUMENTATION, __version__

_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(form: str, findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Format findings.

    Args:
        form: `text`, `json`, `sarif` or `github`.
        findings: the findings.
        notes: notes on the loading; `text` leaves them out.
    """
    if form == "json":
        return as_json(findings, notes)
    return {"text": as_text, "sarif": as_sarif, "github": as_github}[form](_merged(findings), notes)


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """Merge what a rule finds in one place of several services, which share it by an anchor or `extends`."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        says = finding.message.replace(finding.service, "{}")
        groups.setdefault((finding.rule, finding.location, finding.init, says), []).append(finding)
    merged = []
    for first, *rest in groups.values():
        names = ", ".join(finding.service for finding in rest)
        same = f"; the same for {names}" if rest else ""
        changes = tuple({str(change): change for each in (first, *rest) for change in each.changes}.values())
        merged.append(replace(first, message=f"{first.message}{same}", changes=changes))
    return merged


def as_text(findings: Sequence[Finding], _notes: Sequence[str]) -> str:
    """Format each finding as a line that editors and problem matchers understand, with the fix below it."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.location}: {finding.severity}: {finding.message} [{finding.rule}]")
        lines += [f"    {finding.fix}", f"    why: {finding.manual}"]
    if not findings:
        return "no findings"
    safe = sum(bool(finding.changes) and not finding.unsafe for finding in findings)
    unsafe = sum(bool(finding.changes) and finding.unsafe for finding in findings)
    more = f", {unsafe} more with --unsafe" if unsafe else ""
    plural = "s" if len(findings) > 1 else ""
    return "\n".join([*lines, f"{len(findings)} finding{plural}, {safe} that `inithold compose fix` fixes{more}"])


def as_json(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Format findings as a versioned JSON object. Fields may be added but are never changed."""
    listed = [
        {
            "id": finding.rule,
            "severity": finding.severity.value,
            "message": finding.message,
            "file": finding.location.file,
            "line": finding.location.line,
            "column": finding.location.column,
            "end_line": finding.location.end_line,
            "end_column": finding.location.end_column,
            "service": finding.service,
            "related": finding.init,
            "documentation": f"{DOCUMENTATION}reference/rules/{finding.rule}.html",
            "fix": [
                {"service": change.service, "path": list(change.path)}
                | ({"remove": True} if change.value is DELETE else {"value": change.value})
                for change in finding.changes
            ],
            "unsafe": finding.unsafe,
            "by_hand": None if finding.changes else finding.remedy,
        }
        for finding in findings
    ]
    return json.dumps({"version": 1, "findings": listed, "notes": list(notes)}, indent=2, ensure_ascii=False)


def as_github(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Format findings as GitHub workflow commands, which GitHub shows as annotations of the lines."""

    def escaped(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    lines = []
    for finding in findings:
        where = finding.location
        fields = {
            "file": where.file,
            "line": str(where.line),
            "endLine": str(where.end_line),
            "col": str(where.column),
            "endColumn": str(where.end_column),
            "title": f"inithold {finding.rule}",
        }
        shown = ",".join(
            f"{name}={escaped(value).replace(':', '%3A').replace(',', '%2C')}" for name, value in fields.items()
        )
        level = "notice" if finding.severity is Severity.INFO else finding.severity.value
        lines.append(f"::{level} {shown}::{escaped(f'{finding.message}. {finding.fix}. Why: {finding.manual}')}")
    return "\n".join([*lines, *(f"::notice::{escaped(note)}" for note in notes)])


def as_sarif(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Format findings as a SARIF 2.1.0 log (OASIS standard) for code-scanning services."""
    driver: dict[str, Any] = {
        "name": "inithold",
        "version": __version__,
        "informationUri": DOCUMENTATION,
        "rules": [],
    }
    for rule in RULES:
        title, _, page = rule.page.partition("\n")
        text = {"text": page.strip(), "markdown": page.strip()}
        link = f"{DOCUMENTATION}reference/rules/{rule.id}.html"
        driver["rules"].append({"id": rule.id, "shortDescription": {"text": title}, "help": text, "helpUri": link})
    ids = [rule.id for rule in RULES]
    results = []
    for finding in findings:
        where = finding.location
        region = {
            "startLine": where.line,
            "startColumn": where.column,
            "endLine": where.end_line,
            "endColumn": where.end_column,
        }
        artifact = {"uri": quote(PurePath(where.file).as_posix())}
        results.append(
            {
                "ruleId": finding.rule,
                "ruleIndex": ids.index(finding.rule),
                "level": "note" if finding.severity is Severity.INFO else finding.severity.value,
                "message": {"text": f"{finding.message}. {finding.fix}"},
                "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
            }
        )
    run: dict[str, Any] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if notes:
        notifications = [{"level": "note", "message": {"text": note}} for note in notes]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notifications}]
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)
