"""Cuts a shell script into words and operators, keeping where each stands.

As in POSIX (Shell Command Language, chapter 2.3), as far as init scripts go. The script is a plan's text: `$$` is
the dollar sign that the shell sees, and `${VAR}` is filled in before it. Here-documents are left to the shell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPERATORS = ("&&", "||", ";;", ">>", "<<", ">&", "<&", "&>", ";", "&", "|", "(", ")", "<", ">", "\n")
_CLOSING = {"(": ")", "{": "}"}
_GLOB = re.compile(r"[*?\[]|^~|\{[^}]*,[^}]*\}")


class NotFlat(Exception):
    """The script is more than commands one after another: it stays a script."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or an operator.

    Args:
        text: without its quotes; of an operator, the operator.
        start: offset in the script.
        end: offset behind it.
        operator: is it one?
        expands: does the shell make something else of it?
        quoted: was any of it in quotes?
    """

    text: str
    start: int
    end: int
    operator: bool = False
    expands: bool = False
    quoted: bool = False


def tokens(script: str) -> list[Token]:
    """The words and operators of a script.

    Raises:
        NotFlat: it has a here-document, or a quote or bracket that does not end.
    """
    found: list[Token] = []
    at = 0
    while at < len(script):
        if script.startswith("\\\n", at):
            at += 2
        elif script[at] in " \t\r":
            at += 1
        elif script[at] == "#":
            end = script.find("\n", at)
            at = len(script) if end < 0 else end
        elif operator := next((each for each in _OPERATORS if script.startswith(each, at)), None):
            if operator == "<<":
                raise NotFlat
            found.append(Token(operator, at, at + len(operator), operator=True))
            at += len(operator)
        else:
            word = _Word(script, at).read()
            found.append(word)
            at = word.end
    return found


class _Word:
    def __init__(self, script: str, start: int) -> None:
        self._script, self._start, self._at = script, start, start
        self._text: list[str] = []
        self._bare: list[str] = []
        self._expands = False
        self._quoted = False

    def read(self) -> Token:
        script = self._script
        while self._at < len(script):
            char = script[self._at]
            if char in " \t\r" or any(script.startswith(each, self._at) for each in _OPERATORS):
                break
            if char in "'\"":
                self._quotes(char)
            elif char == "\\":
                self._text.append(
                    "" if script[self._at + 1 : self._at + 2] == "\n" else script[self._at + 1 :][:1]
                )
                self._at += 2
            else:
                self._bare_piece(char)
        expands = self._expands or _GLOB.search("".join(self._bare)) is not None
        return Token(
            "".join(self._text),
            self._start,
            min(self._at, len(script)),
            expands=expands,
            quoted=self._quoted,
        )

    def _bare_piece(self, char: str) -> None:
        if char in "$`":
            self._expansion()
            self._bare.append(" ")
            return
        self._text.append(char)
        self._bare.append(char)
        self._at += 1

    def _quotes(self, quote: str) -> None:
        self._quoted = True
        self._at += 1
        while self._at < len(self._script):
            char = self._script[self._at]
            if char == quote:
                self._at += 1
                return
            if (
                quote == '"'
                and char == "\\"
                and self._script[self._at + 1 : self._at + 2] in ('"', "\\", "`", "$")
            ):
                self._text.append(self._script[self._at + 1])
                self._at += 2
            elif quote == '"' and char in "$`":
                self._expansion()
            else:
                self._text.append(char)
                self._at += 1
        raise NotFlat

    def _expansion(self) -> None:
        script, start = self._script, self._at
        if script[start] == "`":
            end = script.find("`", start + 1)
            if end < 0:
                raise NotFlat
            self._expands, self._at = True, end + 1
        elif script.startswith("${", start):
            # The plan fills it in: to the shell it is a text like any other.
            self._at = _balanced(script, start + 1)
        elif script.startswith("$$", start):
            following = script[start + 2 : start + 3]
            self._expands = (
                self._expands or following.isalnum() or following in ("_", "{", "(", "@", "*", "?", "#")
            )
            self._at = _balanced(script, start + 2) if following in _CLOSING else start + 2
        else:
            self._at = start + 1
        self._text.append(script[start : self._at])


def _balanced(script: str, start: int) -> int:
    opening, closing = script[start], _CLOSING[script[start]]
    depth = 0
    for at in range(start, len(script)):
        depth += (script[at] == opening) - (script[at] == closing)
        if depth == 0:
            return at + 1
    raise NotFlat
