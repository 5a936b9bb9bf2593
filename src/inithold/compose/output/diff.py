"""What a fix would write, as a unified diff."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inithold.compose.read.source import Source


def as_diff(texts: dict[Path, str], sources: Sequence[Source]) -> str:
    """The difference between the files as they are and as they would be.

    Args:
        texts: new contents by path.
        sources: the files as read.
    """
    parts: list[str] = []
    for source in sources:
        new = texts.get(source.path)
        if new is None:
            continue
        old_lines, new_lines = source.text.splitlines(keepends=True), new.splitlines(keepends=True)
        lines = unified_diff(old_lines, new_lines, source.name, source.name)
        parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
    return "".join(parts)
