"""Keeps passwords that a stack has in its commands out of the draft: a variable takes the place of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from inithold.redaction.literals import find_literals
from inithold.redaction.redact import Redactor

if TYPE_CHECKING:
    from inithold.compose.new.environment import Environment

_SEPARATOR = "\x1f"


class Concealer:
    """Knows the secrets that the stack has as plain text.

    Args:
        environments: the variables of the services; those of the first are preferred.
    """

    def __init__(self, environments: Iterable[Environment]) -> None:
        self._known: dict[str, str] = {}
        self.replaced: set[str] = set()
        """Variables that took the place of a secret."""
        variables = [variable for environment in environments for variable in environment]
        secret = [
            each for each in variables if each.text and "$" not in each.text and _is_secret(each.name, each.text)
        ]
        # Like users and databases: a password that equals one would take words of the command that are none.
        public = {each.text for each in variables if each not in secret}
        for variable in secret:
            if variable.text not in public:
                self._known.setdefault(variable.text or "", variable.name)

    def text(self, text: str) -> str:
        """A script or a word, as a plan has it, with a variable for each secret in it."""
        for value in sorted(self._known, key=len, reverse=True):
            name = self._known[value]
            pattern = rf"(?<![\w$]){re.escape(value)}(?!\w)"
            text, count = re.subn(pattern, lambda match, name=name: self._variable(name, match), text)  # type: ignore[misc]
            self.replaced |= {name} if count else set()
        end = len(text) + 1
        for literal in sorted(find_literals(text), reverse=True):
            if literal.end < end and "${" not in text[literal.start : literal.end]:
                self.replaced.add(literal.name)
                variable = f"${{{literal.name}{'|url' if literal.in_url else ''}}}"
                text, end = text[: literal.start] + variable + text[literal.end :], literal.start
        return text

    def words(self, words: Sequence[str]) -> list[str]:
        """Program and arguments, with a variable for each secret."""
        joined = self.text(_SEPARATOR.join(word.replace(_SEPARATOR, " ") for word in words))
        return joined.split(_SEPARATOR)

    def _variable(self, name: str, match: re.Match[str]) -> str:
        before = match.string[: match.start()]
        in_url = "://" not in match[0] and re.search(r"://[^/@\s'\"]*:\Z", before) is not None
        return f"${{{name}{'|url' if in_url else ''}}}"


def _is_secret(name: str, value: str) -> bool:
    redactor = Redactor()
    redactor.add_environment({name: value})
    return redactor.scrub(value) != value
