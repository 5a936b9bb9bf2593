"""Findings as text for people and as JSON, SARIF and GitHub workflow commands for machines."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inithold.compose.finding import Finding

# Each is a module of this folder with a function `as_NAME`, imported when it is asked for.
FORMATS = ("text", "json", "sarif", "github")


def render(name: str, findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Findings in one of `FORMATS`.

    Args:
        name: the format.
        findings: what was found.
        notes: what the user should know about the loading.
    """
    module = import_module(f"inithold.compose.output.{name}")
    return str(getattr(module, f"as_{name}")(findings, notes))
