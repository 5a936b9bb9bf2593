"""Finds literal secrets in commands and scripts: `--password x`, `TOKEN=x`, `-u user:x`.

Code that rewrites a text uses their positions, the redactor their values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple
from urllib.parse import unquote

from inithold.redaction.find import HEADERS, Secret, in_header, in_url, in_variable, is_secret_name

_NAME = (
    r"(?:[\w.-]*(?:password|passwd|passphrase|secret|token|credentials|api[-_]?key)[\w-]*"
    r"|(?:[\w.-]*[-_])?(?:pass|pwd|pw))"
)
_NO_SECRET = re.compile(r"[_-](?:FILE|DIR|PATH|ID|NAME|TTL|ALGORITHM|STDIN)\Z", re.I)
# A value in quotes, or up to the end of the word; a value with a variable in it is not a literal.
_VALUE = (
    r"(?P<quote>['\"]?)(?P<value>(?<=')[^'$]+|(?<=\")[^\"$]+|[^\s'\"$;&|)\x1f-][^\s'\"$;&|)\x1f]*)(?P=quote)(?!\$)"
)
_NAMED = (
    re.compile(rf"(?<![\w-])--?(?P<name>{_NAME})(?:=|[\s\x1f]+){_VALUE}", re.I),
    re.compile(
        r"(?<![\w$.-])(?P<name>\w*(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS)\w*|(?:\w+_)?(?:PASS|PWD|PW|AUTH|JWT)"
        rf"|\w*(?:API|ACCESS|PRIVATE|ENCRYPTION|MASTER)_?KEY)={_VALUE}",
        re.I,
    ),
)
# In a list of words, a value may contain blanks.
_LISTED = re.compile(rf"(?:\A|(?<=\x1f))--?(?P<name>{_NAME})(?:=|\x1f)(?P<value>[^\x1f$-][^\x1f$]*)", re.I)
_TO_END = r"[^;&|\n]*?"
# What precedes an argument, and the argument: as a word of a list it is whole, in a script the shell ends it.
_BEHIND = r"(?:(?P<listed>\x1f)|\s+)"
_QUOTE = r"(?P<quote>['\"])?"
_WORD = r"(?P<value>(?(listed)[^$\x1f]+|(?(quote)[^'\"$\x1f]+|(?:\\[^$\x1f]|[^\s'\"$;&|<>()`\\\x1f])+)))"
_POSITIONED = (
    ("", re.compile(r"(?P<name>[A-Za-z][\w.-]*)(?:\+[\w.-]+)?://[^:/@\s'\"\x1f]*:(?P<value>[^@/\s'\"$\x1f]+)@")),
    *(
        (name, re.compile(rf"\b{command}{_BEHIND}{option}{_QUOTE}{before}{_WORD}"))
        for name, command, option, before in (
            ("MYSQL", rf"(?:mysql|mariadb)[\w-]*\b{_TO_END}", "-p", ""),
            ("REDIS", rf"(?:redis|valkey)-cli\b{_TO_END}", r"(?:-a|--pass)[\s\x1f]+", ""),
            ("RABBITMQ", rf"rabbitmqadmin\b{_TO_END}", r"-p[\s\x1f]+", ""),
            ("HTTP", rf"curl\b{_TO_END}", r"(?:-u|--user)[\s\x1f]+", r"[^\s:'\"\x1f]+:"),
            (
                "MINIO_ROOT",
                r"mc[\s\x1f]+(?:--?[\w-]+[\s\x1f]+)*(?:alias[\s\x1f]+set|config[\s\x1f]+host[\s\x1f]+add)[\s\x1f]+"
                r"(?:--?[\w-]+[\s\x1f]+)*[^\s\x1f]+[\s\x1f]+[^\s\x1f]+[\s\x1f]+[^\s\x1f]+",
                "",
                "",
            ),
        )
    ),
    ("NEW_USER", re.compile(r"\b(?:IDENTIFIED\s+BY|PASSWORD)\s+'(?P<value>[^'$]+)'", re.I)),
    ("AUTHORIZATION", re.compile(r"\b(?:Bearer|Basic)\s+(?P<value>[\w+/=.~-]{6,})")),
)


class Literal(NamedTuple):
    """A secret in a text, by its offsets, with a suitable variable name, such as `MYSQL_PASSWORD`.

    A password in a URL is percent-encoded.
    """

    start: int
    end: int
    name: str
    in_url: bool = False


def find_literals(text: str) -> Iterator[Literal]:
    """The literal secrets in a command line or script, unordered; they may overlap.

    Args:
        text: the text; its words may be separated by `\\x1f` (unit separator) to avoid ambiguous blanks.
    """
    for pattern in (*_NAMED, *([_LISTED] if "\x1f" in text else [])):
        for found in pattern.finditer(text):
            name = re.sub(r"\W", "_", found["name"].strip("-.")).upper()
            if not _NO_SECRET.search(name):
                yield Literal(*found.span("value"), name)
    for prefix, pattern in _POSITIONED:
        for found in pattern.finditer(text):
            in_url = not prefix
            name = (
                f"{re.sub(r'[^A-Z0-9]', '_', found['name'].upper())}_PASSWORD" if in_url else f"{prefix}_PASSWORD"
            )
            yield Literal(*found.span("value"), prefix if prefix == "AUTHORIZATION" else name, in_url)


_LOGIN = re.compile(r"(?:-u|--user|--proxy-user)(?:=|\Z|(?=[^:-]+:))")
"""The login option of curl and similar tools: `-u user:password`."""
_HEADER = re.compile(r"(?:--?[\w-]+=|-H)?(?P<name>[\w-]+):\s*(?P<value>.+)", re.S)
_ASSIGNMENT = re.compile(r"(?:-{1,2}[\w.-]+=)?(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.S)


def in_script(text: str) -> Iterator[Secret]:
    """The literal secrets in a script, of a shell or of SQL."""
    for literal in find_literals(text):
        value = text[literal.start : literal.end]
        if literal.in_url or literal.name == "AUTHORIZATION":
            yield from (Secret(value), Secret(unquote(value)))
        else:
            yield from in_variable(f"_{literal.name}", value)


def in_arguments(words: Sequence[str]) -> Iterator[Secret]:
    """The secrets in a command line.

    Args:
        words: program and arguments; a word may itself be a shell command line.
    """
    yield from in_script("\x1f".join(words))
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        header, login, assignment = _HEADER.fullmatch(word), _LOGIN.match(word), _ASSIGNMENT.fullmatch(word)
        if header and (header["name"].lower() in HEADERS or is_secret_name(header["name"])):
            yield from in_header(header["name"], header["value"])
        elif inner := _shell_words(word):
            yield from in_arguments(inner)
        elif login:
            user, _, password = (word[login.end() :] or following).partition(":")
            yield Secret(password, (user,))
        elif assignment:
            yield from in_variable(assignment["name"], assignment["value"])
        elif "://" in word:
            yield from in_url(word)


def _shell_words(line: str) -> list[str]:
    """The words of a shell command line; empty if it is only one word."""
    if not any(space in line for space in " \t\n"):
        return []
    import shlex  # noqa: PLC0415 - few arguments are command lines

    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.commenters, lexer.whitespace_split = "", True
    try:
        words = list(lexer)
    except ValueError:
        words = [piece.strip("'\"") for piece in line.split()]
    return [] if words == [line] else words
