"""Takes a shell script apart, where that changes nothing: where it is a list of plain commands.

A plain command is a program with its words: no redirection, pipe, substitution, assignment or group, and nothing
that changes the shell itself. Each would run the same in a shell of its own, so the list can be cut between any
two where the failure of one ends the script: joined by `&&` throughout, or by `;` and newlines under `set -e`.
Everything else stays whole. After POSIX (Shell Command Language, chapters 2.3 to 2.10).

The script is a plan's text: `$$` is the dollar sign that the shell sees, `${VAR}` is filled in before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise

# A plan's variable, which the shell never sees, and one of the shell's that no earlier command changes.
_PLANS = r"\$\{(?:[^{}]|\{[^{}]*\})*\}"
_SHELLS = r"\$\$(?:\{(?!_\})[A-Za-z_]\w*\}|(?!_\b)[A-Za-z_]\w*)"
_OWN_STATE = re.compile(r"\$\$\{?(?:RANDOM|SECONDS|LINENO|PPID|BASHPID|SHLVL|OPTIND|IFS)\b")
_PIECE = re.compile(
    rf"""(?P<blank>[ \t]+)
    | (?P<continued>\\\n)
    | (?P<operator>&&|\|\||;;|&>|>>|>&|<&|<<|[;&|<>()\n])
    | '(?P<single>[^']*)'
    | "(?P<double>(?:[^"\\`$]|\\\$\$|\\[^$]|{_PLANS}|{_SHELLS})*)"
    | \\(?P<escaped>\$\$|[^$])
    | (?P<plans>{_PLANS})
    | (?P<shells>{_SHELLS})
    | (?P<comment>\#[^\n]*)
    | (?P<bare>[^\s`$\\'"#&|;<>()]|\#)""",
    re.X | re.S,
)
# Words of the shell's grammar, and built-in commands that read or change the shell's own state; and assignments.
_NOT_PLAIN = re.compile(
    r"(?:if|then|elif|else|fi|for|while|until|do|done|case|esac|select|function|[{}!.]|\[\[|time|coproc|cd|pushd|popd|export"
    r"|readonly|local|declare|typeset|unset|set|shift|source|eval|exec|exit|return|trap|umask|ulimit|alias|unalias|read"
    r"|wait|jobs|bg|fg|kill|break|continue|getopts|hash|let|shopt|command|builtin|enable|mapfile|readarray|times|fc|bind"
    r"|complete|disown|suspend|logout|\w+\+?=.*)\Z",
    re.S,
)
_BUILT_IN = ("echo", "printf", "test", "[", "true", "false", ":", "pwd", "type")
_TALK = ("sleep", "echo", "printf", "true", ":")
_OPTIONS = re.compile(r"[-+][euxo]+\Z")
_OPTION_NAMES = ("errexit", "nounset", "xtrace", "pipefail")


class NotPlain(Exception):
    """The script cannot be taken apart."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or an operator of a script.

    Args:
        text: the word without its quotes, as a plan has it; or the operator.
        start: offset in the script.
        end: offset behind it.
        operator: it is one.
        quoted: some of it is quoted, so that it is no word of the grammar.
        literal: nothing in it is the shell's to expand.
    """

    text: str
    start: int
    end: int
    operator: bool = False
    quoted: bool = False
    literal: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """One command of a list.

    Args:
        words: the command; of a loop its condition.
        start: offset in the script.
        end: offset behind it.
        loop: it repeats the command until that succeeds, and does nothing but sleep and talk in between.
        literal: the words are all there is to it: no shell is needed to run it.
    """

    words: tuple[str, ...]
    start: int
    end: int
    loop: bool = False
    literal: bool = True


@dataclass(frozen=True, slots=True)
class Script:
    """A script that may be cut between any two of its parts.

    Args:
        text: the whole script.
        options: the `set` commands that it begins with; empty where there are none.
        parts: its commands, in order.
    """

    text: str
    options: str
    parts: list[Part]

    def piece(self, parts: list[Part]) -> str:
        """The script of neighbouring parts, with the words as they stand."""
        return f"{self.options}{self.text[parts[0].start : parts[-1].end]}"


def take_apart(text: str, *, errexit: bool) -> Script | None:
    """The parts of a script; None where it has to stay whole.

    Args:
        text: the script.
        errexit: the shell is started with `-e`.
    """
    try:
        return _Parser(text, errexit, _tokens(text)).script()
    except NotPlain:
        return None


@dataclass(slots=True)
class _Parser:
    text: str
    errexit: bool
    tokens: list[Token] = field(default_factory=list)
    at: int = 0

    def script(self) -> Script:
        options = ""
        while self._skip_newlines() and self._is("set"):
            options += f"{self._options()}; "
        parts: list[Part] = []
        joints: list[str] = []
        while self._skip_newlines():
            parts.append(self._loop() if self._is("until", "while") else self._command())
            joints.append(self._joint())
        # A loop at the very beginning ends in success or not at all: what joins it to the rest does not matter.
        leading = next((number for number, part in enumerate(parts) if not part.loop), len(parts))
        between = set(joints[leading:-1])
        if not (between <= {"&&"} or (self.errexit and between <= {";"})):
            raise NotPlain
        return Script(self.text, options, parts)

    def _is(self, *texts: str) -> bool:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        return token is not None and not token.quoted and token.text in texts

    def _take(self, *texts: str) -> Token:
        if not self._is(*texts):
            raise NotPlain
        self.at += 1
        return self.tokens[self.at - 1]

    def _skip_newlines(self) -> bool:
        while self._is("\n"):
            self.at += 1
        return self.at < len(self.tokens)

    def _joint(self) -> str:
        if self.at == len(self.tokens):
            return ""
        text = self._take("&&", ";", "\n").text
        if text == "&&" and not self._skip_newlines():
            raise NotPlain
        return "&&" if text == "&&" else ";"

    def _simple(self) -> list[Token]:
        first = self.at
        while self.at < len(self.tokens) and not self.tokens[self.at].operator:
            self.at += 1
        if first == self.at:
            raise NotPlain
        return self.tokens[first : self.at]

    def _options(self) -> str:
        words = self._simple()
        for before, word in pairwise(words):
            named = before.text.endswith("o") and word.text in _OPTION_NAMES
            if not named and not _OPTIONS.match(word.text):
                raise NotPlain
            if word.text == "errexit" or (not named and "e" in word.text):
                self.errexit = (before if named else word).text.startswith("-")
        self._joint()
        return self.text[words[0].start : words[-1].end]

    def _command(self) -> Part:
        words = self._simple()
        start = words[0].start
        if words[0].text == "exec" and self.at == len(self.tokens) and not words[-1].text.startswith("-"):
            # The last command may as well take the shell's place.
            words = words[1:] or words
        first = words[0]
        if not first.literal or "${" in first.text or _NOT_PLAIN.match(first.text):
            raise NotPlain
        literal = all(word.literal for word in words) and first.text not in _BUILT_IN
        return Part(tuple(word.text for word in words), start, words[-1].end, literal=literal)

    def _loop(self) -> Part:
        """`until COMMAND; do sleep 1; done`, and the same with `while !`."""
        start = self._take("until", "while")
        if start.text == "while":
            self._take("!")
        words = self._simple()
        while self._is(">", ">>", "&>", ">&"):
            # Redirections that only silence the condition.
            if words[-1].text in ("1", "2") and words[-1].end == self.tokens[self.at].start:
                words.pop()
            self.at += 1
            self._take("/dev/null", "1", "2")
            words += self._simple() if self._is("1", "2") else []
        self._take(";", "\n")
        self._skip_newlines()
        self._take("do")
        while self._skip_newlines() and not self._is("done"):
            if self._simple()[0].text not in _TALK:
                raise NotPlain
            self._joint()
        end = self._take("done").end
        return Part(
            tuple(word.text for word in words), start.start, end, True, all(word.literal for word in words)
        )


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    word: Token | None = None
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None or _OWN_STATE.search(piece[0]):
            raise NotPlain
        kind, at = piece.lastgroup or "", piece.end()
        if kind == "continued":
            continue
        if kind == "comment" and word is not None:
            # Within a word it begins none.
            kind, at = "bare", piece.start() + 1
        if kind in ("blank", "operator", "comment"):
            tokens += [word] if word is not None else []
            tokens += [Token(piece[0], piece.start(), at, operator=True)] if kind == "operator" else []
            word = None
            continue
        value = piece[kind] if kind != "bare" else text[piece.start() : at]
        if kind == "double":
            value = re.sub(r"\\(\n|\$\$|[`\"\\])", lambda each: each[1].strip("\n"), value)
        expands = (
            kind == "shells" or (kind == "double" and bool(re.search(_SHELLS, value))) or value in (*"*?[~{",)
        )
        word = word or Token("", piece.start(), at)
        quoted = word.quoted or kind in ("single", "double", "escaped")
        literal = word.literal and (not expands or kind in ("single", "escaped"))
        word = replace(word, text=word.text + value, end=at, quoted=quoted, literal=literal)
    return [*tokens, word] if word is not None else tokens
