"""One Compose file: its text, its YAML nodes and where they are."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.errors import DocumentError, Fault
from inithold.text.yaml12 import compose_all, read_text

if TYPE_CHECKING:
    from yaml.nodes import Node

# A stack of 30,000 lines is about 1 MB. What is larger is a mistake, not a Compose file.
LARGEST_FILE = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True, eq=False)
class Source:
    """A Compose file as read.

    Args:
        path: where it is, absolute.
        name: how the user knows it, for messages.
        text: its content, without a byte order mark.
        marked: True where the file starts with a byte order mark.
        documents: the root node of each YAML document in it.
        foreign: True for a file that is only extended from: it is read and never edited.
        base: the folder its relative names start from, where that is not its own.
        variables: what its values may refer to.
    """

    path: Path
    name: str
    text: str
    marked: bool
    documents: list[Node]
    foreign: bool = False
    base: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    _starts: list[int] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder its relative names start from."""
        return self.base if self.base is not None else self.path.parent

    @property
    def newline(self) -> str:
        r"""The file's own line ending: `\r\n` where its first line ends so, else `\n`."""
        first = self.text.find("\n")
        return "\r\n" if first > 0 and self.text[first - 1] == "\r" else "\n"

    def line_start(self, offset: int) -> int:
        """Offset of the first character of the line that `offset` is in."""
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Offset just behind the last character of the line that `offset` is in, before its line ending."""
        end = self.text.find("\n", offset)
        if end < 0:
            return len(self.text)
        return end - 1 if end > offset and self.text[end - 1] == "\r" else end

    def line_of(self, offset: int) -> int:
        """0-based number of the line that `offset` is in."""
        if not self._starts:
            self._starts = [match.end() for match in re.finditer("\n", self.text)]
        return bisect_right(self._starts, offset)

    def fault(self, message: str, node: Node | None = None) -> DocumentError:
        """An error that names this file and, where a node is given, its line and column."""
        if node is None:
            return DocumentError(Fault(message, file=self.name))
        mark = node.start_mark
        return DocumentError(Fault(message, file=self.name, line=mark.line + 1, column=mark.column + 1))


def read_source(
    path: Path,
    name: str,
    *,
    variables: Mapping[str, str],
    text: str | None = None,
    foreign: bool = False,
    base: Path | None = None,
) -> Source:
    """Read and parse a Compose file.

    Args:
        path: the file, absolute.
        name: how messages call it.
        variables: what its values may refer to.
        text: take this for its content rather than what is on disk.
        foreign: see `Source`.
        base: see `Source`.

    Raises:
        DocumentError: missing, unreadable, too large, not UTF-8, not YAML, empty.
    """
    marked = False
    if text is None:
        try:
            text = read_text(path, limit=LARGEST_FILE)
            with path.open("rb") as stream:
                marked = stream.read(len(_BOM)) == _BOM
        except DocumentError as error:
            error.fault.file = name
            raise DocumentError(error.fault) from None
    documents = compose_all(text, file=name)
    if not documents:
        raise DocumentError(Fault("empty: not a Compose file", file=name))
    return Source(path, name, text, marked, documents, foreign, base, variables)
