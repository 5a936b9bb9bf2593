"""Splits a shell script into its commands if running them separately does the same.

That is so for a list of simple commands without redirection, pipe, substitution, assignment or group, none of
which changes the state of the shell, where a failing command ends the script: joined by `&&` throughout, or by `;`
and newlines under `set -e`. All other scripts stay whole. The grammar is POSIX's (Shell Command Language, 2.3 to
2.10).

The script is plan text: `$$` is a dollar sign to the shell, `${VAR}` is interpolated before the shell sees it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import basename
from typing import NamedTuple

# A variable of the plan, and one of the shell (not `$_`, which each command changes).
_PLANS = r"\$\{(?:[^{}]|\{[^{}]*\})*\}"
_SHELLS = r"\$\$(?:\{(?!_\})[A-Za-z_]\w*\}|(?!_\b)[A-Za-z_]\w*)"
_OWN_STATE = re.compile(r"\$\$\{?(?:RANDOM|SECONDS|LINENO|PPID|BASHPID|SHLVL|OPTIND|IFS)\b")
_PIECE = re.compile(
    rf"""'[^']*' | "(?:[^"\\`$]|\\\$\$|\\[^$]|{_PLANS}|{_SHELLS})*" | \\(?:\$\$|[^$]) | {_PLANS} | {_SHELLS}
    | [^\s`$\\'"\#&|;<>()] | (?<=[^\s;&|])\#""",
    re.X | re.S,
)
_TOKEN = re.compile(
    rf"""(?P<blank>(?:[ \t]|\\\n)+|(?<![^\s;&|])\#[^\n]*)
    | (?<=[ \t])(?P<silence>(?:[12]?>{{1,2}}|&>)[ ]*/dev/null|2>&1|1?>&2)(?![^\s;&|])
    | (?P<operator>&&|[;\n])
    | (?P<word>(?:{_PIECE.pattern})+)""",
    re.X | re.S,
)
# Reserved words, builtins that read or change the state of the shell, and assignments.
_NOT_PLAIN = re.compile(
    r"(?:if|then|elif|else|fi|for|while|until|do|done|case|esac|select|function|[{}!.]|\[\[|time|coproc|cd|pushd|popd|export"
    r"|readonly|local|declare|typeset|unset|set|shift|source|eval|exec|exit|return|trap|umask|ulimit|alias|unalias|read"
    r"|wait|jobs|bg|fg|kill|break|continue|getopts|hash|let|shopt|command|builtin|enable|mapfile|readarray|times|fc|bind"
    r"|complete|disown|suspend|logout|\w+\+?=.*)\Z",
    re.S,
)
_BUILT_IN = ("echo", "printf", "test", "[", "true", "false", ":", "pwd", "type")
_TALK = ("sleep", "echo", "printf", "true", ":")
_OPTION = re.compile(r" (?P<sign>[-+])(?P<letters>[eux]+|[eux]*o (?:errexit|nounset|xtrace|pipefail))(?![^ ])")
_PIPEFAIL = ("bash", "zsh", "ksh")  # Other shells have it in some versions only, and exit on it in the rest.


class _NotPlain(Exception):
    """The script cannot be split."""


class _Token(NamedTuple):
    kind: str
    text: str  # For a word: plan text, unquoted.
    start: int
    end: int
    quoted: bool = False
    literal: bool = True


class _Command(NamedTuple):
    tokens: list[_Token]
    joint: str  # The operator behind it: `&&`, `;` or a newline; empty at the end.

    def is_(self, *texts: str) -> bool:
        return self.tokens[0].text in texts and not self.tokens[0].quoted


class Part(NamedTuple):
    """A command, or a loop that only sleeps and prints until its condition succeeds."""

    words: tuple[str, ...]  # For a loop: its condition.
    start: int
    end: int
    joint: str  # As of a command.
    loop: bool = False
    literal: bool = True  # Runs the same without a shell.


class Script(NamedTuple):
    """A script that may be split between any two of its parts."""

    text: str
    options: str  # The `set` commands at its beginning.
    traced: bool  # `set -x` is on.
    parts: list[Part]

    def piece(self, parts: list[Part]) -> str:
        """Return the original text of adjacent parts, with the options in front."""
        return f"{self.options}{self.text[parts[0].start : parts[-1].end]}"


def take_apart(text: str, shell: Sequence[str]) -> Script | None:
    """Split a script; None if it must stay whole. `shell` is the program that runs it, with its options."""
    options, parts = "", list[Part]()
    try:
        program = next((at for at, word in enumerate(shell) if basename(word) not in ("env", "busybox")), 0)
        given = " ".join(
            re.sub(r"^-(\w*)c(\w*)\Z", r"-\1\2", word) for word in shell[program + 1 :] if word != "-c"
        )
        on = _set(given, shell, {"e": False, "x": False})
        commands = _commands(text)
        while commands:
            command = commands.pop(0)
            if not parts and command.is_("set") and len(command.tokens) > 1:
                on = _set(" ".join(token.text for token in command.tokens[1:]), shell, on)
                options += f"{text[command.tokens[0].start : command.tokens[-1].end]}; "
                continue
            loop = command.is_("until", "while")
            parts.append(_loop(command, commands) if loop else _plain(command, last=not commands))
    except _NotPlain:
        return None
    # A waiting loop at the beginning ends with success or never, so the operator behind it does not matter.
    leading = next((number for number, part in enumerate(parts) if not part.loop), len(parts))
    between = {part.joint for part in parts[leading:-1]}
    plain = between <= {"&&"} or (on["e"] and "&&" not in between)
    return Script(text, options, on["x"], parts) if plain else None


def _commands(text: str) -> list[_Command]:
    commands, tokens = list[_Command](), list[_Token]()
    for token in _tokens(text):
        if token.kind != "operator":
            tokens.append(token)
        elif tokens:
            commands.append(_Command(tokens, token.text))
            tokens = []
        elif token.text != "\n":
            raise _NotPlain
    if tokens:
        commands.append(_Command(tokens, ""))
    if any(command.tokens[0].kind != "word" for command in commands) or (commands and commands[-1].joint == "&&"):
        raise _NotPlain
    return commands


def _set(options: str, shell: Sequence[str], on: dict[str, bool]) -> dict[str, bool]:
    """Return whether `-e` and `-x` are on after these options."""
    found = list(_OPTION.finditer(f" {options}"))
    if "".join(each[0] for each in found) != (f" {options}" if options else ""):
        raise _NotPlain
    for sign, letters in (each.groups() for each in found):
        short, _, name = letters.partition("o ")
        if name == "pipefail" and not any(basename(word) in _PIPEFAIL for word in shell):
            raise _NotPlain
        on |= dict.fromkeys({"errexit": "e", "xtrace": "x"}.get(name, "") + short, sign == "-")
    return on


def _plain(command: _Command, *, last: bool) -> Part:
    words, start = command.tokens, command.tokens[0].start
    if last and len(words) > 1 and command.is_("exec") and not words[1].text.startswith("-"):
        # `exec` before the last command changes nothing.
        words = words[1:]
    first = words[0]
    silenced = any(word.kind == "silence" for word in words)
    if silenced or not first.literal or "${" in first.text or _NOT_PLAIN.match(first.text):
        raise _NotPlain
    literal = all(word.literal for word in words) and first.text not in _BUILT_IN
    return Part(tuple(word.text for word in words), start, words[-1].end, command.joint, literal=literal)


def _loop(command: _Command, commands: list[_Command]) -> Part:
    """Parse `until COMMAND; do sleep 1; done` or its `while !` form; pops the loop's commands."""
    loop, condition = [command], command.tokens[1:]
    if command.is_("while"):
        if [token.text for token in condition[:1]] != ["!"]:
            raise _NotPlain
        condition = condition[1:]
    words = [token for token in condition if token.kind == "word"]
    while commands and not loop[-1].is_("done"):
        loop.append(commands.pop(0))
    if len(loop) < 3:
        raise _NotPlain
    first, end = loop[1], loop[-1]
    body = [first.tokens[1:], *(each.tokens for each in loop[2:-1])]
    if not body[0] and first.joint == "\n":
        del body[0]
    if (
        not words
        or not first.is_("do")
        or not all(tokens and tokens[0].text in _TALK for tokens in body)
        or not end.is_("done")
        or len(end.tokens) > 1
        or any(each.joint == "&&" for each in loop[:-1])
    ):
        raise _NotPlain
    literal = all(word.literal for word in words)
    condition_words = tuple(word.text for word in words)
    return Part(condition_words, command.tokens[0].start, end.tokens[0].end, end.joint, loop=True, literal=literal)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or _OWN_STATE.search(match[0]):
            raise _NotPlain
        start, at = match.span()
        if match.lastgroup == "word":
            yield _word(match[0], start)
        elif match.lastgroup in ("operator", "silence"):
            yield _Token(match.lastgroup, match[0], start, at)


def _word(text: str, start: int) -> _Token:
    value, quoted, literal = "", False, True
    for piece in _PIECE.findall(text):
        if piece[0] in "'\"\\":
            quoted = True
            inner = piece[1:].strip("\n") if piece[0] == "\\" else piece[1:-1]
            if piece[0] == '"':
                inner = re.sub(r"\\(\n|\$\$|[`\"\\])", lambda each: each[1].strip("\n"), inner)
                literal = literal and not re.search(_SHELLS, inner)
            value += inner
        else:
            value += piece
            literal = literal and not piece.startswith(("$$", *"*?[~{"))
    return _Token("word", value, start, start + len(text), quoted, literal)
