"""Writes plain data as YAML, for the values that a fix inserts."""

from __future__ import annotations

import json
import re
from typing import Any

# What is safe without quotes in block and flow context, for YAML 1.1 and 1.2 readers alike.
_PLAIN = re.compile(r"(?:-{1,2}[A-Za-z]|[A-Za-z_./$])[A-Za-z0-9_./$@=+ -]*(?:[:][A-Za-z0-9_./$@=+-]+)*\Z")
_DURATION = re.compile(r"\d+(?:\.\d+)?(?:ms|s|m|h)\Z")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", ""}


def is_plain(text: str) -> bool:
    """Can `text` stand without quotes and be read as this very string?"""
    if _DURATION.match(text):
        return True
    return (
        bool(_PLAIN.match(text)) and text == text.strip() and text.lower() not in _WORDS and ".." not in text[:2]
    )


def scalar(value: Any, style: str | None = None) -> str:
    """A single value.

    Args:
        value: str, bool, int, float or None.
        style: the quotes to keep for a string, `'` or `"`; None for plain where that is safe.
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
    """Any value on one line. Strings in lists are quoted, as Compose files have them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(key))}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_item(item) for item in value) + "]"
    return scalar(value)


def _item(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else flow(value)


def block(entries: dict[str, Any], indent: str, step: str) -> list[str]:
    """Entries of a mapping as lines, each with `indent` before it.

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
    """One item of a block list as lines; a text of several lines as a literal, where it can stand as it is."""
    lines = value.split("\n") if isinstance(value, str) and "\n" in value.rstrip("\n") else []
    if not lines or any(line.isspace() or not line.replace("\t", "").isprintable() for line in lines):
        return [f"{indent}- {scalar(value) if not isinstance(value, dict | list) else flow(value)}"]
    body = value.rstrip("\n")
    ends = len(value) - len(body)
    # The indentation is given where the first line does not show it.
    header = f"|{len(step) if value[0].isspace() else ''}{'-' if not ends else '' if ends == 1 else '+'}"
    literal = [f"{indent}{step}{line}" if line else "" for line in body.split("\n")]
    return [f"{indent}- {header}", *literal, *[""] * (ends - 1)]
