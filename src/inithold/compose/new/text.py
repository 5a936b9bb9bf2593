"""Converts Compose and shell text to plan text, and replaces passwords by variables.

Compose interpolates on the host when it creates the container; a plan interpolates inside the container. `$$` is
a dollar sign in both. An unset variable is blank in Compose but an error in a plan, so it gets an empty default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from inithold.redaction.literals import find_literals
from inithold.redaction.redact import Redactor

if TYPE_CHECKING:
    from inithold.compose.new.environment import Variable

_NESTED = r"(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*"
_COMPOSE = re.compile(
    rf"\$\$|\$\{{(?P<braced>[A-Za-z_]\w*)(?:(?P<operator>:?[-+?])(?P<argument>{_NESTED}))?\}}|\$(?P<bare>[A-Za-z_]\w*)|\$",
    re.ASCII,
)
REFERENCE = re.compile(r"\$\$|\$\{(?!secret:)([A-Za-z_]\w*)(?:\|url)?(:?[-+])?")
"""A variable in plan text, and the operator that makes it optional; matches `$$` too, with an empty name."""
SECRET = re.compile(r"\$\{secret:([\w.-]+)")
"""A secret file in plan text."""
_SEPARATOR = "\x1f"


def from_compose(text: str, rename: Callable[[str, str], str] = lambda name, _: name) -> str:
    """Convert text of a Compose file to plan text.

    Args:
        text: as written.
        rename: takes a variable's name and its whole expression, returns its name in the plan.
    """

    def fill(match: re.Match[str]) -> str:
        name = match["braced"] or match["bare"]
        if name is None:
            return "$$"
        argument = from_compose(match["argument"] or "", rename)
        return f"${{{rename(name, match[0])}{match['operator'] or ':-'}{argument}}}"

    return _COMPOSE.sub(fill, text)


def from_shell(text: str) -> str:
    """Convert text that Compose does not interpolate, such as a script, to plan text."""
    return text.replace("$", "$$")


def encoded(text: str) -> str:
    """Percent-encode a user, password or database of plan text for use in a URL."""
    if "${" not in text:
        return quote(text.replace("$$", "$"), safe="")
    return re.sub(r"\$\{((?:secret:)?[\w.-]+?)(?=\}|:?[-?+])", r"${\1|url", text)


def slug(text: str) -> str:
    """Turn text into a step id: lower-case letters, digits, underscores and hyphens, at most 40."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-").lower()[:40].strip("-")


class Concealer:
    """Replaces each plain-text password in the stack by a variable.

    Args:
        variables: of all services; the first one that has a password gives it its name.
    """

    def __init__(self, variables: Iterable[Variable]) -> None:
        self.replaced: set[str] = set()
        """Names of the variables that replaced a password."""
        known = {each: each.text for each in variables if each.text}
        secret = {each: text for each, text in known.items() if "$" not in text and _is_secret(each.name, text)}
        # A password equal to a user or database name would also match words that are not the password.
        public = {text for each, text in known.items() if each not in secret}
        names = {text: each.name for each, text in reversed(secret.items()) if text not in public}
        self._names = dict(sorted(names.items(), key=lambda item: -len(item[0])))

    def text(self, text: str) -> str:
        """Replace the passwords in a script or a word."""
        for value, name in self._names.items():
            pattern = re.compile(rf"(?P<url>://[^/@\s'\"]*:)?(?<![\w$]){re.escape(value)}(?!\w)")

            def fill(match: re.Match[str], name: str = name) -> str:
                self.replaced.add(name)
                coded = match["url"] and "://" not in match[0].removeprefix(match["url"])
                return f"{match['url'] or ''}${{{name}{'|url' if coded else ''}}}"

            text = pattern.sub(fill, text)
        end = len(text) + 1
        for literal in sorted(find_literals(text), reverse=True):
            if literal.end < end and "${" not in text[literal.start : literal.end]:
                self.replaced.add(literal.name)
                variable = f"${{{literal.name}{'|url' if literal.in_url else ''}}}"
                text, end = text[: literal.start] + variable + text[literal.end :], literal.start
        return text

    def words(self, words: Sequence[str]) -> list[str]:
        """Replace the passwords in a program and its arguments."""
        return self.text(_SEPARATOR.join(word.replace(_SEPARATOR, " ") for word in words)).split(_SEPARATOR)


def _is_secret(name: str, value: str) -> bool:
    redactor = Redactor()
    redactor.add_environment({name: value})
    return redactor.scrub(value) != value
