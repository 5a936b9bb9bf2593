"""Finds the statements in SQL scripts, and commands that only an interactive client understands.

Servers split scripts themselves (for SQLite, its `complete_statement` does). The scanner here only finds lines for
messages, and what no server could run, before anything is contacted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

_LONGEST = 200
"""Maximum number of words of a statement to look at."""
_COMMENT = r"(?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) ) |"
# In MySQL, `--` begins a comment only before a space, and the text in /*! ... */ is run.
_MYSQL_COMMENT = r"(?P<comment> --(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?!M?!).*?(?:\*/|\Z) ) |"
_SHARED = r"""
  (?P<end> ; )
| (?P<open> \( )
| (?P<close> \) )
| (?P<space> \s+ )
"""
_TOKENS = {
    "postgresql": r"""
  (?P<string> \b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z)
            | \$(?P<tag>[^\W\d]\w*)?\$.*?(?:\$(?(tag)(?P=tag))\$|\Z) )
|"""
    + _COMMENT
    + _SHARED
    + r"| (?P<word> \w[\w$]* ) | (?P<other> [^\w\s;()'\"$`\[/\#-]+ | . )",
    "mysql": r"""
  (?P<string> '(?:[^'\\]|\\.|'')*(?:'|\Z) | "(?:[^"\\]|\\.|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z) )
|"""
    + _MYSQL_COMMENT
    + _SHARED
    + r"| (?P<word> [\w$]+ ) | (?P<other> [^\w\s;()'\"$`\[/\#-]+ | . )",
    "sqlite": r"""
  (?P<string> '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z) | \[[^\]]*(?:\]|\Z) )
|"""
    + _COMMENT
    + _SHARED
    + r"| (?P<word> \w+ ) | (?P<other> [^\w\s;()'\"$`\[/\#-]+ | . )",
}
_NESTED = re.compile(r"/\*|\*/")
_OWN_BEGIN = re.compile(r"(?:BEGIN|START)(?: (?:WORK|TRANSACTION|DEFERRED|IMMEDIATE|EXCLUSIVE))*\Z", re.IGNORECASE)
# Statements with which dumps begin.
_SETTING = re.compile(r"(?:SET|PRAGMA)\b", re.IGNORECASE)
_OWN_COMMIT = re.compile(r"(?:COMMIT|END)(?: (?:WORK|TRANSACTION))?\Z", re.IGNORECASE)
_COPY = re.compile(r"COPY\b.*\b(?:FROM STDIN|TO STDOUT)\b", re.IGNORECASE)
_BODY = {
    "postgresql": re.compile(r"\bBEGIN ATOMIC\b", re.IGNORECASE),
    "mysql": re.compile(r"\bCREATE\b.*\b(?:PROCEDURE|FUNCTION|TRIGGER|EVENT)\b", re.IGNORECASE),
    "sqlite": re.compile(r"\bCREATE\b.*\bTRIGGER\b", re.IGNORECASE),
}
_FOR_CLIENT = {
    "postgresql": (re.compile(r"\\"), "a command of psql", "psql"),
    "mysql": (re.compile(r"(?:DELIMITER|SOURCE) ", re.IGNORECASE), "a command of the mysql client", "mysql"),
    "sqlite": (re.compile(r"\."), "a command of the sqlite3 shell", "sqlite3"),
}


class Statement(NamedTuple):
    """A part of a script up to a semicolon.

    Attributes:
        start: offset of its first word.
        end: offset behind its semicolon.
        words: its text without comments and strings, with single spaces.
    """

    start: int
    end: int
    words: str


class Script:
    """A text of SQL statements in a technology's dialect; its name in messages is a path, or `sql`."""

    def __init__(self, text: str, name: str, technology: str) -> None:
        self.text = text
        self.name = name
        self.technology = technology

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The statements, as separated by semicolons (see `exact`)."""
        return tuple(self._scan())

    @property
    def exact(self) -> bool:
        """Whether every semicolon ends a statement; in function bodies they do not."""
        body = _BODY[self.technology]
        return not any(body.search(statement.words) for statement in self.statements)

    @property
    def count(self) -> int | None:
        """The number of statements; None if uncertain."""
        return len(self.statements) if self.exact else None

    def problems(self) -> Iterator[str]:
        """Yield what only an interactive client could run."""
        if not self.statements:
            yield f"{self.name} holds no statement"
        pattern, command, client = _FOR_CLIENT[self.technology]
        for statement in self.statements:
            if pattern.match(statement.words):
                what = f"{command}, not SQL"
            elif self.technology == "postgresql" and _COPY.match(statement.words):
                what = "COPY from or to the client"  # Its data follow, which are not SQL: stop here.
            else:
                continue
            line = self.line(statement.start)
            yield f"{self.name}, line {line}: {what}; run it with {client}, in a command.run step"
            return

    def query_problems(self) -> Iterator[str]:
        """Yield why the text is not a single query."""
        if (count := len(self.statements)) != 1:
            yield f"{self.name} is {f'{count} statements: expected one query' if count else 'empty'}"

    def without_own_transaction(self) -> Script:
        """Return the script without BEGIN at its start and COMMIT at its end; offsets stay the same."""
        first = next((one for one in self._scan() if not _SETTING.match(one.words)), None)
        if first is None or not _OWN_BEGIN.match(first.words):
            return self
        last = self.statements[-1]
        if not _OWN_COMMIT.match(last.words):
            return self
        text = self.text
        for one in (first, last):
            text = text[: one.start] + _spaces(text[one.start : one.end]) + text[one.end :]
        return Script(text, self.name, self.technology)

    def packed(self) -> Script:
        """Return the script without what is between statements, such as extra semicolons; offsets stay."""
        pieces, at = [], 0
        for statement in self.statements:
            pieces += [_spaces(self.text[at : statement.start]), self.text[statement.start : statement.end]]
            at = statement.end
        return Script("".join(pieces), self.name, self.technology)

    def line(self, offset: int) -> int:
        """Return the 1-based line of an offset."""
        return self.text.count("\n", 0, offset) + 1

    def place(self, offset: int) -> str:
        """Describe an offset: `seed.sql, line 3, column 7`."""
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        return f"{self.name}, line {self.line(offset)}, column {column}"

    def nth(self, number: int) -> str:
        """Describe a statement, counted from 1: `seed.sql, statement 3 (line 12)`."""
        line = ""
        if self.exact and 0 < number <= len(self.statements):
            line = f" (line {self.line(self.statements[number - 1].start)})"
        return f"{self.name}, statement {number}{line}"

    def _scan(self) -> Iterator[Statement]:
        pattern = re.compile(_TOKENS[self.technology], re.VERBOSE | re.DOTALL)
        words: list[str] = []
        start, depth, at = -1, 0, 0
        while at < len(self.text):
            token = pattern.match(self.text, at)
            assert token is not None  # noqa: S101 - the last alternative takes any character
            kind, at = token.lastgroup, token.end()
            if kind == "space":
                continue
            if kind == "comment":
                if self.technology == "postgresql" and token.group().startswith("/*"):
                    at, nested = len(self.text), 0
                    for mark in _NESTED.finditer(self.text, token.start()):
                        nested += 1 if mark.group() == "/*" else -1
                        if nested == 0:
                            at = mark.end()
                            break
                continue
            if kind == "end" and depth == 0:
                if start >= 0:
                    yield Statement(start, at, _joined(words))
                words, start = [], -1
                continue
            start = token.start() if start < 0 else start
            depth = max(0, depth + (kind == "open") - (kind == "close"))
            if len(words) < _LONGEST:
                words.append("''" if kind == "string" else token.group())
        if start >= 0:
            yield Statement(start, len(self.text), _joined(words))


def _joined(words: list[str]) -> str:
    return re.sub(r" ?([.\\]) ?", r"\1", " ".join(words))


def _spaces(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
