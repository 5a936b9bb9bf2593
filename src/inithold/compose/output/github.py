"""Findings as GitHub workflow commands, which show as annotations on the lines concerned."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.compose.finding import Finding, Severity
from inithold.compose.output.text import way_out

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def as_github(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """One `::error` or `::warning` command for each finding, one `::notice` for each note.

    Args:
        findings: what was found.
        notes: what the user should know about the loading.
    """
    lines = [_command(finding) for finding in findings]
    return "\n".join([*lines, *(f"::notice::{_data(note)}" for note in notes)])


def _command(finding: Finding) -> str:
    where = finding.location
    fields = {
        "file": where.file,
        "line": str(where.line),
        "endLine": str(where.end_line),
        "col": str(where.column),
        "endColumn": str(where.end_column),
        "title": f"inithold {finding.rule}",
    }
    shown = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    text = f"{finding.message}. {way_out(finding)}. {finding.link}"
    return f"::{_COMMANDS[finding.severity]} {shown}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
