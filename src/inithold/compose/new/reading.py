"""Reads what a service runs: its entrypoint and command, and the scripts they name that are here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import basename
from typing import TYPE_CHECKING

from inithold.compose.new.commands import READERS, other, waits
from inithold.compose.new.commands.context import ENTRYPOINT, Place, core, program
from inithold.compose.new.files import script_of
from inithold.compose.new.images import image_name
from inithold.compose.new.model import DraftStep, Item
from inithold.compose.new.script import Call, Compound, Loop, Statement, statements
from inithold.compose.new.text import from_shell
from inithold.compose.new.tokens import NotFlat
from inithold.compose.stack.command import words as split_words

if TYPE_CHECKING:
    from inithold.compose.new.conceal import Concealer
    from inithold.compose.new.environment import Environment
    from inithold.compose.read.project import Service

_SHELLS = ("sh", "bash", "ash", "dash", "zsh", "ksh")
_TOOLS = {
    "flyway": "flyway",
    "liquibase": "liquibase",
    "migrate": "migrate",
    "mc": "mc",
    "dbmate": "dbmate",
    "atlas": "atlas",
}
"""What official images of tools run by themselves, by the image's name."""
_ARGUMENTS = re.compile(r'"?\$\$(?:@|\{@\}|\*)"?\Z')
_OWN_ARGUMENT = re.compile(r"\$\$\{?[0-9@*#]")
_RETRY = {"attempts": 60, "delay": "1s", "max_delay": "5s"}
_DEEPEST = 3


@dataclass(slots=True)
class Reading:
    """What a service runs.

    Args:
        items: in order.
        unknown: what could not be told.
        shown: all its words, with variables for passwords.
        plan: the plan it runs already, None where it runs none.
    """

    items: list[Item] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    shown: str = ""
    plan: str | None = None


def read_command(service: Service, environment: Environment, concealer: Concealer) -> Reading:
    """What a service runs, as far as the Compose files and the scripts that are here say."""
    found = Reading()
    reader = _Reader(service, environment, concealer, found)
    entrypoint, dropped = split_words(service.value("entrypoint"))
    command, lost = split_words(service.value("command"))
    argv = [*entrypoint, *command]
    if not entrypoint and (tool := _TOOLS.get(image_name(service.text("image") or ""))):
        argv = [tool, *argv]
    if dropped or lost:
        shown = concealer.script(dropped or lost)
        found.unknown.append(
            f"Compose runs no shell here and drops `{shown.strip()}` from the command: it never ran"
        )
    if not argv:
        found.unknown.append("what it runs: its image decides; look at ENTRYPOINT and CMD of the image")
        return found
    words = concealer.words(argv)
    found.shown = " ".join(words)
    reader.argv(words)
    return found


class _Reader:
    def __init__(self, service: Service, environment: Environment, concealer: Concealer, found: Reading) -> None:
        self._service = service
        self._environment = environment
        self._concealer = concealer
        self._found = found
        self._depth = 0

    def argv(self, words: list[str]) -> None:
        """Program and arguments as the engine starts them, without a shell."""
        if program(words) == "inithold" and words[1:2] == ["run"]:
            self._inithold(words[2:])
            return
        call = Call(tuple(words), " ".join(_shown(word) for word in words))
        self._call(call, _State(), [])

    def _inithold(self, words: list[str]) -> None:
        own = words[: words.index("--")] if "--" in words else words
        for at, word in enumerate(own):
            urls = own[at + 1 : at + 2] if word == "--wait" else [word[7:]] if word.startswith("--wait=") else []
            self._found.items += waits.of_urls(urls, "inithold run --wait")
        if "--" in words:
            self.argv(words[words.index("--") + 1 :])
            return
        self._found.plan = next((word for word in own if not word.startswith("-")), "inithold.yaml")

    def _place(self, state: _State, *, loop: bool = False) -> Place:
        return Place(self._environment, state.folder, basename(state.shell), loop)

    def _script(self, text: str, state: _State, arguments: list[str]) -> None:
        for statement in statements(text):
            self._statement(statement, state, arguments)

    def _statement(self, statement: Statement, state: _State, arguments: list[str]) -> None:
        if isinstance(statement, Compound):
            self._add(
                other.shell(statement.raw, "a part of the script that only a shell can run", self._place(state))
            )
        elif isinstance(statement, Loop):
            self._loop(statement, state)
        else:
            self._call(statement, state, arguments)

    def _loop(self, loop: Loop, state: _State) -> None:
        call = loop.condition
        items = waits.read(call, core(call.words), self._place(state, loop=True)) if call.words else None
        if items:
            self._found.items += items
            return
        for item in self._read(call, state):
            if isinstance(item, DraftStep):
                item.retry = dict(_RETRY)
                item.why.append("the script repeats it until it succeeds: so does `retry`")
            self._add(item)

    def _call(self, call: Call, state: _State, arguments: list[str]) -> None:
        if self._depth and _OWN_ARGUMENT.search(call.raw) and not _ARGUMENTS.match(call.words[-1]):
            raise NotFlat
        words = core(call.words)
        name = program(words)
        if name == "cd" and len(words) == 2 and call.plain:
            state.folder = self._place(state).path(words[1]) if state.folder else words[1]
        elif call.words and _ARGUMENTS.match(call.words[-1]) and len(words) == 1:
            if arguments:
                self._call(Call(tuple(arguments), " ".join(map(_shown, arguments))), state, [])
        elif not (name in _SHELLS and self._shell_call(words, state)) and not self._file(call, words, state):
            for item in self._read(call, state):
                self._add(item)
            if behind := waits.behind(words):
                self._call(Call(tuple(behind), " ".join(map(_shown, behind)), call.plain), state, arguments)

    def _shell_call(self, words: Sequence[str], state: _State) -> bool:
        """`sh -c SCRIPT` and `sh FILE`."""
        at = _script_at(words)
        if at is None:
            return False
        if not any("c" in word[1:] for word in words[1:at] if not word.startswith("--")):
            return self._open(words[at], words, list(words[at + 1 :]), state)
        text = words[at]
        mark, inner = len(self._found.items), _State(state.folder, words[0])
        try:
            self._script(text, inner, list(words[at + 2 :]))
        except NotFlat:
            del self._found.items[mark:]
            why = "the whole script: its parts depend on each other"
            self._add(other.shell(text.strip("\n"), why, self._place(inner)))
        return True

    def _file(self, call: Call, words: Sequence[str], state: _State) -> bool:
        first = words[0] if words else ""
        if waits.behind(words) or not (
            first.endswith((".sh", ".bash")) or "/" in first or ENTRYPOINT.search(first)
        ):
            return False
        return call.plain and self._open(first, words, list(words[1:]), state, quiet=True)

    def _open(
        self, name: str, words: Sequence[str], arguments: list[str], state: _State, *, quiet: bool = False
    ) -> bool:
        if self._depth >= _DEEPEST or waits.read(Call(tuple(words), ""), list(words), self._place(state)):
            return False
        found = script_of(self._service, self._place(state).path(name))
        if found is None:
            if not quiet or name.endswith((".sh", ".bash")):
                self._found.unknown.append(f"what {name} does: it is in the image and not here")
            return False
        file, text = found
        if "inithold run" in text:
            self._found.unknown.append(f"what {file.name} does: it runs inithold itself")
            return False
        mark, inner = len(self._found.items), _State(state.folder, _interpreter(text))
        self._depth += 1
        try:
            self._script(self._concealer.script(from_shell(text)), inner, [])
            _only_waits(self._found.items[mark:] if arguments else [])
        except NotFlat:
            del self._found.items[mark:]
            self._found.unknown.append(f"{file.name} is more than commands in a row: it stays as it is")
            return False
        finally:
            self._depth -= 1
        if arguments:
            self._call(Call(tuple(arguments), " ".join(map(_shown, arguments))), state, [])
        return True

    def _read(self, call: Call, state: _State) -> list[Item]:
        words = core(call.words)
        place = self._place(state)
        for reader in READERS:
            items = reader(call, words, place)
            if items is not None:
                return items
        return [other.command(call, words, place)]

    def _add(self, item: Item) -> None:
        before = self._found.items[-1] if self._found.items else None
        if (
            isinstance(item, DraftStep)
            and isinstance(before, DraftStep)
            and item.uses == before.uses == "rabbitmq.topology"
        ):
            for key, value in item.fields.items():
                before.fields[key] = [*before.fields.get(key, []), *value] if isinstance(value, list) else value
            before.why += [why for why in item.why if why not in before.why]
            return
        self._found.items.append(item)


@dataclass(slots=True)
class _State:
    """What a script has changed so far.

    Args:
        folder: where `cd` went, relative to the working directory.
        shell: what runs it.
    """

    folder: str = ""
    shell: str = "sh"


def _script_at(words: Sequence[str]) -> int | None:
    """Where the script, or the file of one, stands among a shell's arguments."""
    at = 1
    while at < len(words) and words[at].startswith(("-", "+")):
        # `-o pipefail`, alone or behind other letters.
        at += 2 if words[at].endswith("o") and not words[at].startswith("--") else 1
    return at if at < len(words) else None


def _only_waits(items: Sequence[Item]) -> None:
    """What an entrypoint prepares for the command that it becomes stays together with it."""
    if any(isinstance(item, DraftStep) for item in items):
        raise NotFlat


def _interpreter(text: str) -> str:
    first = text.partition("\n")[0]
    return next((shell for shell in ("bash", "zsh", "ksh") if first.startswith("#!") and shell in first), "sh")


def _shown(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./${}|-]+", word) else f"'{word}'"
