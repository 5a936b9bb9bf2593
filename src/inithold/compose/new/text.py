"""Texts of a Compose file as a plan has them, without the passwords in them.

Compose fills values in on the host when it makes the container, a plan fills them in inside the container. `$$`
is a dollar sign in both. What is not set is blank to Compose and an error to a plan, so it gets an empty default.
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
"""A variable that a plan refers to, with the operator that lets it be absent; two dollar signs have no name."""
SECRET = re.compile(r"\$\{secret:([\w.-]+)")
"""A secret file that a plan refers to."""
_SEPARATOR = "\x1f"


def from_compose(text: str, rename: Callable[[str, str], str] = lambda name, _: name) -> str:
    """A text of a Compose file as a plan has it.

    Args:
        text: as written.
        rename: the name that a variable of Compose has in the plan; it gets that name and the whole expression.
    """

    def fill(match: re.Match[str]) -> str:
        name = match["braced"] or match["bare"]
        if name is None:
            return "$$"
        argument = from_compose(match["argument"] or "", rename)
        return f"${{{rename(name, match[0])}{match['operator'] or ':-'}{argument}}}"

    return _COMPOSE.sub(fill, text)


def from_shell(text: str) -> str:
    """A text that Compose never reads, such as a script's, as a plan has it."""
    return text.replace("$", "$$")


def encoded(text: str) -> str:
    """A user, password or database of a plan, to stand inside a URL."""
    if "${" not in text:
        return quote(text.replace("$$", "$"), safe="")
    return re.sub(r"\$\{((?:secret:)?[\w.-]+?)(?=\}|:?[-?+])", r"${\1|url", text)


def slug(text: str) -> str:
    """A text as an id may have it: letters, digits, underscores and hyphens."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-").lower()[:40].strip("-")


class Concealer:
    """Puts a variable in the place of each password that the stack has as plain text.

    Args:
        variables: those of all services; where two have a password, the first one's name is taken.
    """

    def __init__(self, variables: Iterable[Variable]) -> None:
        self.replaced: set[str] = set()
        """Variables that took the place of a password."""
        known = {each: each.text for each in variables if each.text}
        secret = {each: text for each, text in known.items() if "$" not in text and _is_secret(each.name, text)}
        # Like users and databases: a password that equals one would take words of the command that are none.
        public = {text for each, text in known.items() if each not in secret}
        names = {text: each.name for each, text in reversed(secret.items()) if text not in public}
        self._names = dict(sorted(names.items(), key=lambda item: -len(item[0])))

    def text(self, text: str) -> str:
        """A script or a word of a plan, with a variable for each password in it."""
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
        """Program and arguments, with a variable for each password."""
        return self.text(_SEPARATOR.join(word.replace(_SEPARATOR, " ") for word in words)).split(_SEPARATOR)


def _is_secret(name: str, value: str) -> bool:
    redactor = Redactor()
    redactor.add_environment({name: value})
    return redactor.scrub(value) != value
