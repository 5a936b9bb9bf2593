"""Texts of a Compose file as a plan has them.

Compose fills values in on the host when it makes the container, a plan fills them in inside the container. `$$`
is a dollar sign in both. What is not set is blank to Compose and an error to a plan, so it gets an empty default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_REFERENCE = re.compile(r"\$\$|\$\{(?!secret:)([A-Za-z_]\w*)(?:\|url)?(:?[-+])?")
_SECRET = re.compile(r"\$\{secret:([\w.-]+)")


def from_compose(text: str, rename: Callable[[str, str], str] = lambda name, _: name) -> str:
    """A text of a Compose file as a plan has it.

    Args:
        text: as written.
        rename: the name that a variable of Compose has in the plan; it gets that name and the whole expression.
    """
    parts, at = [], 0
    while (start := text.find("$", at)) >= 0:
        parts.append(text[at:start])
        at = start + 1
        braced = text.startswith("{", at)
        name = _NAME.match(text, at + braced)
        if name is None:
            parts.append("$$")
            at += text.startswith("$", at)
            continue
        end = closing_brace(text, at) if braced else name.end()
        operator = re.match(r":?[-+?]", text[name.end() : end])
        argument = from_compose(text[name.end() + operator.end() : end], rename) if operator else ""
        at = end + braced
        own = rename(name[0], text[start:at])
        parts.append(f"${{{own}{operator[0] if operator else ':-'}{argument}}}")
    return "".join([*parts, text[at:]])


def from_shell(text: str) -> str:
    """A text that Compose never reads, such as a script's, as a plan has it."""
    return text.replace("$", "$$")


def closing_brace(text: str, start: int) -> int:
    """The offset of the brace that closes the one at `start`; the text's last where there is none."""
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text) - 1


def encoded(text: str) -> str:
    """A user, password or database of a plan, to stand inside a URL."""
    if "${" not in text:
        return quote(text.replace("$$", "$"), safe="")
    return re.sub(r"\$\{((?:secret:)?[\w.-]+?)(?=\}|:?[-?+])", r"${\1|url", text)


def references(text: str) -> Iterator[tuple[str, bool]]:
    """The variables that a text of a plan refers to, and whether each may be absent."""
    for match in _REFERENCE.finditer(text):
        if match[1]:
            yield match[1], bool(match[2])


def secrets(text: str) -> list[str]:
    """The secret files that a text of a plan refers to."""
    return _SECRET.findall(text)
