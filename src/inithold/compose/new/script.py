"""Takes a shell script apart into what it runs one after another."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inithold.compose.new.tokens import NotFlat, Token, tokens

_ENDS = (";", "&&", "\n")
_REDIRECTS = (">", ">>", "<", ">&", "<&", "&>")
_OPENING = {"if": "fi", "case": "esac", "for": "done", "select": "done", "while": "done", "until": "done"}
_OPENING |= {"{": "}", "(": ")"}
# What changes the shell itself, so that what follows cannot run without it.
_STATEFUL = {
    "export",
    "source",
    ".",
    "shift",
    "local",
    "eval",
    "read",
    "unset",
    "alias",
    "declare",
    "function",
    "return",
}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_FORGIVING = ("true", ":", "echo", "printf")


@dataclass(frozen=True, slots=True)
class Call:
    """One command of a script.

    Args:
        words: program and arguments, without redirections and without assignments before them.
        raw: as it is written.
        plain: the words are all there is to it: no shell is needed.
        ignored: its failure does not matter to the script (`|| true`).
    """

    words: tuple[str, ...]
    raw: str
    plain: bool = True
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop that waits until a command succeeds.

    Args:
        condition: the command.
        raw: the whole loop.
    """

    condition: Call
    raw: str


@dataclass(frozen=True, slots=True)
class Compound:
    """An `if`, `case`, `for` or group: left to the shell as it is."""

    raw: str


Statement = Call | Loop | Compound


def statements(script: str) -> list[Statement]:
    """What a script runs, in order.

    Args:
        script: as a plan has it.

    Raises:
        NotFlat: a part of it depends on variables, functions or jobs of an earlier part.
    """
    return _Parser(script).statements()


class _Parser:
    def __init__(self, script: str) -> None:
        self._script = script
        self._tokens = tokens(script)
        self._at = 0

    def statements(self) -> list[Statement]:
        found: list[Statement] = []
        while (token := self._peek()) is not None:
            if token.operator and token.text in _ENDS:
                self._at += 1
            elif _word(token) in _OPENING or (token.operator and token.text == "("):
                found.append(self._compound())
            else:
                found.append(self._call(self._simple()))
        return found

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _simple(self) -> list[Token]:
        start = self._at
        while (token := self._peek()) is not None and not (token.operator and token.text in _ENDS):
            if token.operator and token.text in ("&", ";;", ")", "("):
                raise NotFlat
            self._at += 1
        return self._tokens[start : self._at]

    def _call(self, parts: list[Token]) -> Call:
        raw = self._script[parts[0].start : parts[-1].end]
        first = parts[0].text
        assigned = all(not part.operator and _ASSIGNMENT.match(part.text) for part in parts)
        if assigned or first in _STATEFUL:
            raise NotFlat
        command, ignored = _without_excuse(parts)
        if ignored or len(command) < len(parts):
            raw = self._script[command[0].start : command[-1].end]
        own = _without_redirects(_before_pipe(command))
        plain = own == command and not any(part.expands for part in own)
        words = [part.text for part in own]
        while words and _ASSIGNMENT.match(words[0]):
            words, plain = words[1:], False
        if words[:1] == ["!"]:
            plain = False
        return Call(tuple(words), raw, plain, ignored)

    def _compound(self) -> Statement:
        start = self._at
        opened = self._tokens[start]
        end = self._end_of(start)
        self._at = end + 1
        tail = self._rest()
        raw = self._script[opened.start : self._tokens[self._at - 1].end]
        if opened.text in ("while", "until") and not tail:
            return self._loop(start, end, raw) or Compound(raw)
        return Compound(raw)

    def _rest(self) -> bool:
        """Step over what is behind a compound up to its end: redirections, a pipe."""
        before = self._at
        self._simple()
        return any(not (part.operator and part.text in _REDIRECTS) for part in self._tokens[before : self._at])

    def _end_of(self, start: int) -> int:
        waiting: list[str] = []
        begins = True
        for at in range(start, len(self._tokens)):
            token = self._tokens[at]
            word = token.text if token.operator else _word(token)
            if begins and word in _OPENING:
                waiting.append(_OPENING[word])
            elif waiting and word == waiting[-1] and (begins or token.operator):
                waiting.pop()
                if not waiting:
                    return at
            elif token.text == "(" and token.operator:
                waiting.append(")")
            # `)` also ends a pattern of `case`.
            begins = token.operator or word in ("then", "do", "else", "elif", "if", "while", "until", "!", "{")
        raise NotFlat

    def _loop(self, start: int, end: int, raw: str) -> Loop | None:
        condition = start + 1
        negated = self._tokens[start].text == "while"
        if negated and self._tokens[condition].text != "!":
            return None
        condition += negated
        do = next((at for at in range(condition, end) if _word(self._tokens[at]) == "do"), None)
        parts = self._tokens[condition : do if do is not None else condition]
        while parts and parts[-1].operator and parts[-1].text in _ENDS:
            parts = parts[:-1]
        if not parts or any(part.operator and part.text in (*_ENDS, "(", ")", "&", "||") for part in parts):
            return None
        return Loop(self._call(parts), raw)


def _word(token: Token) -> str:
    """A word that may be one of the shell's own; quoted it is none."""
    return "" if token.operator or token.quoted else token.text


def _before_pipe(parts: list[Token]) -> list[Token]:
    piped = next((at for at, part in enumerate(parts) if part.operator and part.text in ("|", "||")), None)
    return parts if piped is None else parts[:piped]


def _without_redirects(parts: list[Token]) -> list[Token]:
    kept: list[Token] = []
    skip = False
    for part in parts:
        if skip:
            skip = False
        elif part.operator and part.text in _REDIRECTS:
            skip = True
            if kept and kept[-1].text.isdigit() and kept[-1].end == part.start:
                kept.pop()
        else:
            kept.append(part)
    return kept


def _without_excuse(parts: list[Token]) -> tuple[list[Token], bool]:
    """The command without `|| true` or `|| exit 1`, and whether its failure is ignored."""
    bars = [at for at, part in enumerate(parts) if part.operator and part.text == "||"]
    if len(bars) != 1 or bars[0] in (0, len(parts) - 1):
        return parts, False
    excuse = parts[bars[0] + 1]
    if excuse.text in _FORGIVING:
        return parts[: bars[0]], True
    return (parts[: bars[0]], False) if excuse.text == "exit" else (parts, False)
