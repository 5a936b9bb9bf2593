"""Ids for steps, from what they run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from posixpath import basename, splitext

_RUNNERS = (
    "mc",
    "sh",
    "bash",
    "python",
    "python3",
    "node",
    "ruby",
    "php",
    "java",
    "npm",
    "npx",
    "yarn",
    "pnpm",
    "run",
    "deno",
    "bun",
    "make",
    "go",
)
_DULL = (
    "-m",
    "run",
    "manage.py",
    "artisan",
    "bin/console",
    "bin/rails",
    "exec",
    "main",
    "__main__",
    "index",
    "app",
    "src",
)


def step_id(words: Sequence[str]) -> str:
    """An id for a command: its most telling word."""
    for word in words:
        if word.startswith("-") or word in _DULL or basename(word) in _RUNNERS or word in _RUNNERS:
            continue
        if "$" in word or "://" in word or "=" in word:
            continue
        name = (
            splitext(basename(word))[0]
            if "/" in word or word.endswith((".py", ".sh", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php"))
            else word
        )
        if "." in name and "/" not in word:
            parts = [part for part in name.split(".") if part not in _DULL]
            name = parts[-1] if parts else name
        if slug(name):
            return slug(name)
    return "command"


def slug(text: str) -> str:
    """A text as an id may have it: letters, digits, underscores and hyphens."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-").lower()[:40].strip("-")


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, or the name with the first number that makes it one of a kind."""
    known = set(taken)
    number = 2
    found = name
    while found in known:
        found, number = f"{name}-{number}", number + 1
    return found
