"""The variables Compose would see, as far as file names need them: the environment and the `.env` file.

Values in the stack itself are never interpolated: `${VAR}` is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*?)\s*\Z")
_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_]\w*)(?:(:?[-?])([^{}]*))?\}|([A-Za-z_]\w*))")


def read_dotenv(folder: Path) -> dict[str, str]:
    """The variables of the `.env` file in `folder`; none where there is no readable one."""
    return read_env_file(folder / ".env")


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an `env_file`; none where it cannot be read, as it may be made on the machine it is for."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        match = _LINE.match(line)
        if match and not line.lstrip().startswith("#"):
            found[match[1]] = _unquote(match[2])
    return found


def _unquote(value: str) -> str:
    if value[:1] in ("'", '"') and value.find(value[0], 1) > 0:
        return value[1 : value.index(value[0], 1)]
    return re.split(r"\s+#", value, maxsplit=1)[0]


def interpolate(text: str, variables: Mapping[str, str]) -> str | None:
    """A file name with its variables filled in; None where one is not set and has no default."""
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        if match[1]:
            return "$"
        name, operator, default = match[2] or match[5], match[3] or "", match[4] or ""
        value = variables.get(name)
        if value or (value is not None and not operator.startswith(":")):
            return value
        if operator.endswith("-"):
            return default
        missing = True
        return ""

    filled = _VARIABLE.sub(fill, text)
    return None if missing else filled
