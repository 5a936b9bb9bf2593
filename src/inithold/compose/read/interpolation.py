"""Interpolates variables as Compose does."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPERATOR = re.compile(r":?[-+?]")


def interpolate(text: str, variables: Mapping[str, str]) -> str | None:
    """Interpolate a file name; None if a variable is not set and has no default."""
    result, complete = _expand(text, variables)
    return result if complete else None


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Interpolate a value as Compose does, but leave a variable as written if it is not set and has no default.

    Compose would make it blank, but it may be set where the stack is deployed.
    """
    return _expand(text, variables)[0] if "$" in text else text


def _expand(text: str, variables: Mapping[str, str]) -> tuple[str, bool]:
    """Follows compose-go's `template` package: `$$`, `$NAME`, `${NAME}` with `-`, `+` or `?`."""
    parts, at, complete = [], 0, True
    while (start := text.find("$", at)) >= 0:
        parts.append(text[at:start])
        at = start + 1
        if text.startswith("$", at):
            parts.append("$")
            at += 1
            continue
        braced = text.startswith("{", at)
        end = _closing_brace(text, at) if braced else at
        name = _NAME.match(text, at + braced)
        if name is None or end < 0:
            parts.append("$")
            continue
        at = end + 1 if braced else name.end()
        result = variables.get(name[0])
        operator = _OPERATOR.match(text, name.end(), end) if braced else None
        if operator is not None:
            given = bool(result) if operator[0][0] == ":" else result is not None
            kind = operator[0][-1]
            if given == (kind == "+"):
                argument, known = _expand(text[operator.end() : end], variables)
                result = argument if known and kind != "?" else None
            elif not given:
                result = ""
        complete = complete and result is not None
        parts.append(text[start:at] if result is None else result)
    return "".join([*parts, text[at:]]), complete


def _closing_brace(text: str, start: int) -> int:
    """Return the offset of the brace that closes the one at `start`, or -1."""
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return -1
