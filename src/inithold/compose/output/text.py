"""One finding, one line that editors and problem matchers can read, and under it what to do."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.compose.finding import Finding


def as_text(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Findings for people. Notes are not part of it: they go to standard error.

    Args:
        findings: what was found.
        notes: what the user should know about the loading.
    """
    del notes
    lines = []
    for finding in findings:
        lines.append(f"{finding.location}: {finding.severity}: {finding.message} [{finding.rule}]")
        lines.append(f"    {way_out(finding)}")
        lines.append(f"    {finding.link}")
    lines.append(summary(findings))
    return "\n".join(lines)


def way_out(finding: Finding) -> str:
    """What fixes a finding: a fix, an unsafe fix, or a hand."""
    if finding.changes:
        changes = "; ".join(str(change) for change in finding.changes)
        return f"fix{' (unsafe)' if finding.unsafe else ''}: {changes}"
    return f"by hand: {finding.remedy}" if finding.remedy else "by hand"


def summary(findings: Sequence[Finding]) -> str:
    """The last line: how many, and how many of them `fix` fixes."""
    if not findings:
        return "no findings"
    safe = sum(bool(finding.changes) and not finding.unsafe for finding in findings)
    unsafe = sum(bool(finding.changes) and finding.unsafe for finding in findings)
    more = f", {unsafe} more with --unsafe" if unsafe else ""
    return f"{len(findings)} finding{'s'[: len(findings) != 1]}, {safe} that `inithold compose fix` fixes{more}"
