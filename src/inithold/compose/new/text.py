"""Texts of a Compose file as a plan has them.

Compose and plans fill in values alike, at different times: Compose on the host when it makes the container, a
plan inside the container. `$$` and `${VAR}` mean the same in both; `$VAR` is filled in by Compose and left alone
by a plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

_BARE = re.compile(r"(\$\$|\$\{)|\$([A-Za-z_]\w*)")
_FORM = re.compile(r"(\$\$)|\$\{([A-Za-z_]\w*)(?:(:?[-?+])((?:[^{}]|\$\{[^{}]*\})*))?\}")
_REFERENCE = re.compile(r"\$\$|\$\{(?!secret:)([A-Za-z_]\w*)(?:\|url)?(:?[-+])?")
_SECRET = re.compile(r"\$\{secret:([\w.-]+)")


def from_compose(text: str) -> str:
    """A text of a Compose file as a plan has it."""
    return _BARE.sub(lambda found: found[1] or f"${{{found[2]}}}", text)


def from_shell(text: str) -> str:
    """A text that Compose never saw, such as a script's, as a plan has it."""
    return text.replace("$", "$$")


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text as Compose would fill it in here; what is not set here stands as `<NAME>`."""

    def fill(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name, operator, argument = found[2], found[3] or "", found[4] or ""
        value = variables.get(name)
        if operator.endswith("+"):
            return filled(argument, variables) if value else ""
        if value or (value is not None and not operator.startswith(":")):
            return value
        return filled(argument, variables) if operator.endswith("-") else f"<{name}>"

    return _FORM.sub(fill, from_compose(text))


def encoded(text: str) -> str:
    """A user, password or database, to stand inside a URL."""
    if "${" not in text:
        return quote(text.replace("$$", "$"), safe="")
    return re.sub(r"\$\{((?:secret:)?[\w.-]+?)(?=\}|:?[-?+])", r"${\1|url", text)


def references(text: str) -> Iterator[tuple[str, bool]]:
    """The variables a text of a plan refers to, and whether each may be absent."""
    for found in _REFERENCE.finditer(text):
        if found[1]:
            yield found[1], bool(found[2])


def secrets(text: str) -> list[str]:
    """The secret files a text of a plan refers to."""
    return _SECRET.findall(text)
