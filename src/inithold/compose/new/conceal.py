"""Keeps passwords that a stack has in its commands out of the draft: a variable takes the place of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from inithold.compose.new.text import from_compose

if TYPE_CHECKING:
    from inithold.compose.new.environment import Environment

_NAMED = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|_(?:KEY|PASS|PWD)\Z|^(?:PASS|PASSWORD)\Z", re.I)
_NO_SECRET = re.compile(r"_(?:FILE|DIR|PATH|ID|ACCESS_KEY_ID)\Z", re.I)
_USER_INFO = re.compile(r"(?P<before>[A-Za-z][\w+.-]*://[^:/@\s'\"]*:)(?P<password>[^@/\s'\"]+)(?=@)")
_OPTION = re.compile(
    r"(?P<before>(?<![\w-])--?(?P<name>[\w.-]*(?:password|passwd|secret|token|passphrase|api-?key)[\w-]*)(?:=|\s+))"
    r"(?P<quote>['\"]?)(?P<value>(?<=')[^'$]+|(?<=\")[^\"$]+|[^\s'\"$-][^\s'\"]*)(?P=quote)",
    re.I,
)
_ASSIGNED = re.compile(
    r"(?P<before>(?<![\w$.-])(?P<name>\w*(?:PASSWORD|PASSWD|SECRET|TOKEN)\w*|(?:\w+_)?(?:PASS|PWD)"
    r"|\w*(?:API|ACCESS|PRIVATE|ENCRYPTION|MASTER)_KEY)\s*=\s*)"
    r"(?P<quote>['\"]?)(?P<value>(?<=')[^'$]+|(?<=\")[^\"$]+|[^\s'\"$;&|)]+)(?P=quote)",
    re.I,
)
_SHORT = (
    (
        re.compile(r"\b(?:mysql|mysqladmin|mariadb|mariadb-admin|mysqldump)\b[^;&|\n]*?\s-p(?P<value>[^\s'\"$]+)"),
        "MYSQL_PASSWORD",
    ),
    (re.compile(r"\bredis-cli\b[^;&|\n]*?\s-a\s+['\"]?(?P<value>[^\s'\"$]+)"), "REDIS_PASSWORD"),
    (
        re.compile(
            r"\bmc\s+(?:--?[\w-]+\s+)*(?:alias\s+set|config\s+host\s+add)\s+(?:--?[\w-]+\s+)*\S+\s+\S+\s+\S+\s+"
            r"['\"]?(?P<value>[^\s'\"$;&|]+)"
        ),
        "MINIO_ROOT_PASSWORD",
    ),
    (re.compile(r"\brabbitmqadmin\b[^;&|\n]*?\s-p\s+['\"]?(?P<value>[^\s'\"$]+)"), "RABBITMQ_DEFAULT_PASS"),
    (re.compile(r"\bcurl\b[^;&|\n]*?\s(?:-u|--user)\s+['\"]?[^\s:'\"]+:(?P<value>[^\s'\"$]+)"), "HTTP_PASSWORD"),
    (re.compile(r"\bIDENTIFIED\s+BY\s+'(?P<value>[^'$]+)'", re.I), "NEW_USER_PASSWORD"),
    (re.compile(r"\b(?:Bearer|Basic)\s+(?P<value>[^\s'\"$]+)"), "AUTHORIZATION"),
    (re.compile(r"\bPASSWORD\s+'(?P<value>[^'$]+)'", re.I), "NEW_USER_PASSWORD"),
)


class Concealer:
    """Knows the secrets that the stack has as plain text.

    Args:
        own: the variables of the init service: they are preferred.
        others: those of the other services.
    """

    def __init__(self, own: Environment, others: Iterable[Environment]) -> None:
        self._known: dict[str, str] = {}
        everywhere = [own, *others]
        # Like names and users: a password that equals one would eat words of the command that are none.
        self._public = {each.service.name for each in everywhere}
        self._public |= {
            each.text for some in everywhere for each in some if each.text and not _NAMED.search(each.name)
        }
        for environment in everywhere:
            for variable in environment:
                self._learn(variable.name, variable.text)
        self.replaced: set[str] = set()
        """Variables that took the place of a password."""

    def _learn(self, name: str, text: str | None) -> None:
        if not text or "$" in text:
            return
        if "://" in text:
            # Whole, as it may stand in a command; its password alone has no variable.
            if _USER_INFO.search(text):
                self._known.setdefault(text, name)
        elif _NAMED.search(name) and not _NO_SECRET.search(name) and len(text) > 3 and text not in self._public:
            self._known.setdefault(text, name)

    def script(self, text: str) -> str:
        """A script or a word, as a plan has it, with a variable for each password that it holds."""
        ordered = sorted(self._known, key=len, reverse=True)
        text = self._each([value for value in ordered if "://" in value], text)
        text = _USER_INFO.sub(self._user_info, text)
        text = self._each([value for value in ordered if "://" not in value], text)
        text = _OPTION.sub(lambda found: self._named(found, from_option=True), text)
        text = _ASSIGNED.sub(lambda found: self._named(found, from_option=False), text)
        for pattern, name in _SHORT:
            text = pattern.sub(lambda found, name=name: self._short(found, name), text)  # type: ignore[misc]
        return text

    def words(self, argv: Sequence[str]) -> list[str]:
        """Program and arguments, with a variable for each password."""
        # A separator that no argument holds keeps the words apart and reads as the blank between them.
        joined = self.script("\x1f".join(word.replace("\x1f", " ") for word in map(from_compose, argv)))
        return joined.split("\x1f")

    def _each(self, values: Iterable[str], text: str) -> str:
        for value in values:
            if value in text:
                found = self._variable(self._known[value])
                text = re.sub(rf"(?<![\w$]){re.escape(value)}(?!\w)", found, text)
        return text

    def _variable(self, name: str) -> str:
        self.replaced.add(name)
        return f"${{{name}}}"

    def _user_info(self, found: re.Match[str]) -> str:
        if "$" in found["password"]:
            return found[0]
        scheme = found["before"].partition("://")[0].partition("+")[0].upper()
        name = self._known.get(found["password"]) or f"{scheme}_PASSWORD"
        return f"{found['before']}{self._variable(name)[:-1]}|url}}"

    def _named(self, found: re.Match[str], *, from_option: bool) -> str:
        name = found["name"].strip("-.")
        if _NO_SECRET.search(name.replace("-", "_")) or found["value"].startswith("${"):
            return found[0]
        if from_option and found["before"].endswith((" ", "\x1f")) and found["value"].startswith("-"):
            return found[0]
        variable = re.sub(r"\W", "_", name).upper()
        return f"{found['before']}{found['quote']}{self._variable(variable)}{found['quote']}"

    def _short(self, found: re.Match[str], name: str) -> str:
        start, end = found.start("value") - found.start(), found.end("value") - found.start()
        return f"{found[0][:start]}{self._variable(name)}{found[0][end:]}"
