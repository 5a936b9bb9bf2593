"""Where a command runs, and its words without what is put before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import basename, join, normpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inithold.compose.new.environment import Environment

# Programs that run another one: how many words of their own come first, options apart.
_PREFIXES = {
    ("exec",): 0,
    ("command",): 0,
    ("env",): 0,
    ("sudo",): 0,
    ("nice",): 0,
    ("time",): 0,
    ("tini",): 0,
    ("dumb-init",): 0,
    ("catatonit",): 0,
    ("gosu",): 1,
    ("su-exec",): 1,
    ("timeout",): 1,
    ("poetry", "run"): 0,
    ("uv", "run"): 0,
    ("pipenv", "run"): 0,
    ("pdm", "run"): 0,
    ("rye", "run"): 0,
    ("hatch", "run"): 0,
    ("bundle", "exec"): 0,
    ("npm", "exec"): 0,
    ("pnpm", "exec"): 0,
    ("yarn", "exec"): 0,
    ("npx",): 0,
    ("bunx",): 0,
}
_VALUED = (
    "-u",
    "--user",
    "-g",
    "--project",
    "--directory",
    "-n",
    "--with",
    "--package",
    "--signal",
    "-k",
    "--env-file",
)
ENTRYPOINT = re.compile(r"(?:^|/)(?:docker-)?entrypoint(?:\.sh)?\Z")
"""Scripts of images that become the command behind them."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command runs.

    Args:
        environment: the variables of its service.
        folder: what `cd` went into, relative to the service's working directory; empty for that itself.
        shell: the shell whose script it is in.
        loop: it is the condition of a loop that waits for it.
    """

    environment: Environment
    folder: str = ""
    shell: str = "sh"
    loop: bool = False

    def path(self, name: str) -> str:
        """A path as the plan's steps see it, which run in the working directory."""
        return normpath(join(self.folder, name)) if self.folder else name


def core(words: Sequence[str]) -> list[str]:
    """The words from the program on that does the work: without `exec`, `poetry run`, `env A=b`, `gosu user`."""
    left = list(words)
    while left:
        first = basename(left[0])
        if ENTRYPOINT.search(left[0]) and len(left) > 1:
            left = left[1:]
            continue
        key = next((each for each in _PREFIXES if each == (first, *left[1 : len(each)])), None)
        if key is None:
            return left
        own = _PREFIXES[key]
        rest = _without_options(left[len(key) :])
        rest = rest[own:]
        if not rest:
            return left
        left = rest
    return left


def _without_options(words: list[str]) -> list[str]:
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return words[at + 1 :]
        if word in _VALUED:
            at += 2
        elif word.startswith("-") or _ASSIGNMENT.match(word):
            at += 1
        else:
            break
    return words[at:]


def program(words: Sequence[str]) -> str:
    """The name of the program, without its folder."""
    return basename(words[0]) if words else ""


def option(words: Sequence[str], *names: str) -> str | None:
    """The value of an option, as `--name value`, `--name=value` or, of a short one, `-nvalue`."""
    for at, word in enumerate(words):
        for name in names:
            if word == name:
                return words[at + 1] if at + 1 < len(words) else None
            if name.startswith("--") and word.startswith(f"{name}="):
                return word[len(name) + 1 :]
            if len(name) == 2 and len(word) > 2 and word.startswith(name) and not word.startswith("--"):
                return word[2:]
    return None
