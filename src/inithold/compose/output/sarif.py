"""Findings as SARIF 2.1.0 (OASIS standard), as code-scanning services take them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from inithold.compose.finding import DOCUMENTATION, Finding, Severity
from inithold.compose.output.text import way_out
from inithold.compose.rules import RULES

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def as_sarif(findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Findings as a SARIF log of one run; notes become its notifications.

    Args:
        findings: what was found.
        notes: what the user should know about the loading.
    """
    ids = [rule.ID for rule in RULES]
    run: dict[str, Any] = {
        "tool": {"driver": _driver()},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, ids.index(finding.rule)) for finding in findings],
    }
    if notes:
        said = [{"level": "note", "message": {"text": note}} for note in notes]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": said}]
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _driver() -> dict[str, Any]:
    driver: dict[str, Any] = {"name": "inithold", "informationUri": "https://inithold.readthedocs.io/"}
    # Run from a source tree that is not installed: the version is optional in SARIF.
    with suppress(PackageNotFoundError):
        driver["version"] = version("inithold")
    rules = []
    for rule in RULES:
        title, _, page = inspect.cleandoc(rule.__doc__ or "").partition("\n")
        rules.append(
            {
                "id": rule.ID,
                "shortDescription": {"text": title},
                "help": {"text": page.strip(), "markdown": page.strip()},
                "helpUri": f"{DOCUMENTATION}{rule.ID}.html",
            }
        )
    return {**driver, "rules": rules}


def _result(finding: Finding, index: int) -> dict[str, Any]:
    where = finding.location
    region = {
        "startLine": where.line,
        "startColumn": where.column,
        "endLine": where.end_line,
        "endColumn": where.end_column,
    }
    artifact = {"uri": quote(PurePath(where.file).as_posix())}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. {way_out(finding)}"},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
    }
