"""The documents as the tests read them: their fenced blocks, and what a comment above a block asks for.

    <!-- run -->          console: each command is run, its output compared; python: the script is run
    <!-- run exit=1 -->   ... and the last command's exit code
    <!-- hold -->         console: the command is started, compared once it holds, and ended after the page
    <!-- run after the hold -->   ... or before this block
    <!-- file: NAME -->   the block is written to NAME in the page's folder, for the blocks that follow
    <!-- part -->         yaml: a part of a file that is of no kind known here

In an expected output `...` stands for any lines, and times, ids and the widths of columns do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_COMMENT = re.compile(r"<!-- (?P<text>(?:run|hold|file|part)\b[^>]*?) -->\s*\Z")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        page: path of the document, relative to the repository.
        line: 1-based line of its fence.
        language: as the fence says.
        text: between the fences, without the indentation of the fence.
        order: what the comment above it says; empty where there is none.
    """

    page: str
    line: int
    language: str
    text: str
    order: str

    @property
    def file(self) -> str:
        """The file it is written to, if any."""
        return self.order.removeprefix("file: ") if self.order.startswith("file: ") else ""

    @property
    def exit_code(self) -> int:
        """The code that its last command is to end with."""
        found = re.search(r"exit=(\d+)", self.order)
        return int(found[1]) if found else 0

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Of a console block: each command, and the output that is shown under it."""
        found: list[tuple[str, str]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], ""))
            elif line.startswith("> ") and found and not found[-1][1]:
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
            elif found:
                found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
        return found

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def documents() -> list[Path]:
    """Every document that has examples: the site's pages, and the README."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a document, first to last."""
    text = path.read_text()
    for found in _FENCE.finditer(text):
        comment = _COMMENT.search(text, 0, found.start())
        indent = found["indent"]
        inner = re.sub(rf"^{indent}", "", found["text"], flags=re.M) if indent else found["text"]
        yield Block(
            page=str(path.relative_to(ROOT)),
            line=text.count("\n", 0, found.start()) + 1,
            language=found["language"],
            text=inner,
            order=comment["text"] if comment else "",
        )


def all_blocks() -> list[Block]:
    """The blocks of every document."""
    return [block for path in documents() for block in blocks(path)]
