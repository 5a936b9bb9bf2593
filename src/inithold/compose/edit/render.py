"""Formats plain data as YAML for the values that a fix inserts."""

from __future__ import annotations

import json
import re
from typing import Any

# Safe without quotes in block and flow context, in YAML 1.1 and 1.2.
_PLAIN = re.compile(r"(?:-{1,2}[A-Za-z]|[A-Za-z_./$])[A-Za-z0-9_./$@=+ -]*(?:[:][A-Za-z0-9_./$@=+-]+)*\Z")
_DURATION = re.compile(r"\d+(?:\.\d+)?(?:ms|s|m|h)\Z")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", ""}


def is_plain(text: str) -> bool:
    """Whether unquoted `text` is read as the same string."""
    if _DURATION.match(text):
        return True
    return (
        bool(_PLAIN.match(text)) and text == text.strip() and text.lower() not in _WORDS and ".." not in text[:2]
    )


def scalar(value: Any, style: str | None = None) -> str:
    """Format a single value.

    Args:
        value: str, bool, int, float or None.
        style: the quotes of a string, `'` or `"`; by default none if that is safe.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def flow(value: Any) -> str:
    """Format any value on one line; strings in lists are quoted, as is usual in Compose files."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(key))}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_item(item) for item in value) + "]"
    return scalar(value)


def _item(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else flow(value)


def block(entries: dict[str, Any], indent: str, step: str) -> list[str]:
    """Format the entries of a mapping as lines indented by `indent`.

    Args:
        entries: keys and values.
        indent: blanks before each key.
        step: blanks by which nested values are set in further.
    """
    lines = []
    for key, value in entries.items():
        name = f"{indent}{scalar(str(key))}:"
        if isinstance(value, dict) and value:
            lines += [name, *block(value, indent + step, step)]
        elif isinstance(value, list) and any(isinstance(item, str) and "\n" in item for item in value):
            lines.append(name)
            for item in value:
                lines += item_lines(item, indent + step, step)
        else:
            lines.append(f"{name} {flow(value)}")
    return lines


def item_lines(value: Any, indent: str, step: str) -> list[str]:
    """Format an item of a block list as lines; a multi-line text as a literal block scalar if possible."""
    lines = value.split("\n") if isinstance(value, str) and "\n" in value.rstrip("\n") else []
    if not lines or any(line.isspace() or not line.replace("\t", "").isprintable() for line in lines):
        return [f"{indent}- {scalar(value) if not isinstance(value, dict | list) else flow(value)}"]
    body = value.rstrip("\n")
    ends = len(value) - len(body)
    # An indentation indicator is needed if the first line does not show the indentation.
    header = f"|{len(step) if value[0].isspace() else ''}{'-' if not ends else '' if ends == 1 else '+'}"
    literal = [f"{indent}{step}{line}" if line else "" for line in body.split("\n")]
    return [f"{indent}- {header}", *literal, *[""] * (ends - 1)]
