"""Reads env files as Compose does."""

from __future__ import annotations

import re
from pathlib import Path

from inithold.text.files import read_regular_text

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(?:(['\"])(.*?)\2.*|(.*?)(?:\s+#.*)?\s*)\Z")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of an `env_file`; none if it cannot be read: it may exist only where it is deployed."""
    try:
        lines = read_regular_text(str(path)).splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    matches = [match for line in lines if (match := _LINE.match(line))]
    return {match[1]: match[3] if match[2] else match[4] for match in matches}
