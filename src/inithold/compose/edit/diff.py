"""Shows what a fix would write as a unified diff with masked secrets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inithold.redaction.find import is_secret_name
from inithold.redaction.literals import find_literals
from inithold.text.url import MASK
from inithold.text.yaml12 import compose_all

if TYPE_CHECKING:
    from inithold.compose.read.tree import Source


def as_diff(texts: dict[Path, str], sources: Sequence[Source]) -> str:
    """Return the unified diff between the files and their new texts.

    Args:
        texts: new contents by path.
        sources: the files as read.
    """
    parts: list[str] = []
    for source in sources:
        new = texts.get(source.path)
        if new is None:
            continue
        old_lines, new_lines = (masked(text).splitlines(keepends=True) for text in (source.text, new))
        diff = unified_diff(old_lines, new_lines, source.name, source.name)
        parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in diff]
    return "".join(parts)


def masked(text: str) -> str:
    """Mask the secrets in a Compose file: values of secret variables, and passwords in URLs and commands."""
    spans = [span for document in compose_all(text, file="") for span in _secrets(document, text)]
    result, end = [], 0
    for start, stop in sorted(spans):
        if start >= end:
            result += [text[end:start], MASK]
        end = max(end, stop)
    return "".join([*result, text[end:]])


def _secrets(root: Node, text: str) -> Iterator[tuple[int, int]]:
    todo = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, MappingNode):
            for key, value in node.value:
                todo.append(value)
                if isinstance(value, ScalarNode) and is_secret_name(key.value or ""):
                    yield from _whole(value)
        elif isinstance(node, SequenceNode):
            todo += node.value
            yield from _in_words([item for item in node.value if isinstance(item, ScalarNode)])
        elif isinstance(node, ScalarNode):
            start = int(node.start_mark.index)
            for literal in find_literals(text[start : int(node.end_mark.index)]):
                yield start + literal.start, start + literal.end


def _in_words(items: list[ScalarNode]) -> Iterator[tuple[int, int]]:
    """Yield the list items that are secrets, such as the one behind `--password`."""
    ends = list(accumulate(len(item.value) + 1 for item in items))
    for literal in find_literals("\x1f".join(item.value for item in items)):
        number = bisect_right(ends, literal.start)
        if literal.end - literal.start == len(items[number].value):
            yield from _whole(items[number])


def _whole(node: ScalarNode) -> Iterator[tuple[int, int]]:
    if node.value and not node.value.startswith("$"):
        quoted = node.style in ("'", '"')
        yield int(node.start_mark.index) + quoted, int(node.end_mark.index) - quoted
