"""Findings as JSON, with a version and a promise: fields are added, never changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from inithold.compose.finding import DELETE, Change, Finding


def as_json(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Findings and notes as one JSON object.

    Args:
        findings: what was found.
        notes: what the user should know about the loading.
    """
    listed = [_finding(finding) for finding in findings]
    return json.dumps({"version": 1, "findings": listed, "notes": list(notes)}, indent=2, ensure_ascii=False)


def _finding(finding: Finding) -> dict[str, Any]:
    where = finding.location
    return {
        "id": finding.rule,
        "severity": finding.severity.value,
        "message": finding.message,
        "file": where.file,
        "line": where.line,
        "column": where.column,
        "end_line": where.end_line,
        "end_column": where.end_column,
        "service": finding.service,
        "related": finding.init,
        "documentation": finding.link,
        "fix": [_change(change) for change in finding.changes],
        "unsafe": finding.unsafe,
        "by_hand": finding.remedy,
    }


def _change(change: Change) -> dict[str, Any]:
    entry: dict[str, Any] = {"service": change.service, "path": list(change.path)}
    return {**entry, "remove": True} if change.value is DELETE else {**entry, "value": change.value}
