"""Reads YAML 1.2 into nodes that keep their positions.

PyYAML parses YAML 1.1, where `no` and `on` are booleans, `0o17` is a string and `1:30` is 90. The difference that
matters in practice is how plain scalars are resolved. So this uses PyYAML's parser with a resolver for the core
schema of YAML 1.2.2 (section 10.3.2). Like Compose, it keeps the merge key `<<` of YAML 1.1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from yaml.composer import Composer
from yaml.resolver import BaseResolver

from inithold.errors import DocumentError, Fault
from inithold.text.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from yaml.nodes import Node

DEEPEST = 500
SAFE_LENGTH = 4_000
"""Shorter documents cannot nest too deeply, so their depth is not checked."""
_NUL = re.compile(r"\\(?:0|x00|u0000|U00000000)")
"""The escapes for NUL in a quoted scalar."""
_CORE_SCHEMA = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
)


class CoreSchemaResolver(BaseResolver):
    """Gives plain scalars the tags of the YAML 1.2 core schema."""


for _tag, _pattern, _first in _CORE_SCHEMA:
    # This method has no types in the stubs.
    cast(Any, CoreSchemaResolver).add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


class _PythonLoader(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, Composer, CoreSchemaResolver):
    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        Composer.__init__(self)
        CoreSchemaResolver.__init__(self)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Let a later anchor override one of the same name, as YAML 1.2 allows, but PyYAML does not."""
        event = cast(Any, self).peek_event()
        if not isinstance(event, yaml.events.AliasEvent) and event.anchor is not None:
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


_Loader: type[Any] = _PythonLoader
try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # PyYAML may be built without libyaml
    pass
else:

    class _CLoader(CParser, CoreSchemaResolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            CoreSchemaResolver.__init__(self)

    _Loader = _CLoader


def read_text(path: str | Path, *, limit: int) -> str:
    """Read a UTF-8 text file; a byte order mark is removed.

    Args:
        limit: the largest accepted size in bytes.

    Raises:
        DocumentError: it is missing, unreadable, a folder, larger than `limit`, binary or not UTF-8.
    """
    name = str(path)
    try:
        data = read_regular(name, most=limit + 1)
    except OSError as error:
        raise DocumentError(Fault(f"cannot read: {error.strerror or error}", file=name)) from error
    if len(data) > limit:
        raise DocumentError(Fault(f"larger than {limit // 1_048_576} MiB, the most that is read", file=name))
    if b"\x00" in data:
        raise DocumentError(Fault("not a text file: it has NUL bytes in it", file=name))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(Fault(f"not UTF-8: byte {data[error.start]:#04x}", file=name, line=line)) from error


def compose(text: str, *, file: str) -> Node | None:
    """Parse one YAML document into nodes; None for an empty one.

    Args:
        file: its name, for errors.

    Raises:
        DocumentError: not YAML, or more than one document. It never quotes the text, which may contain secrets.
    """
    return _parsed(text, file, lambda loader: [loader.get_single_node()])[0]


def compose_all(text: str, *, file: str) -> list[Node]:
    """Parse all YAML documents of a stream into nodes; a Compose file may have several.

    Raises:
        DocumentError: not YAML.
    """

    def documents(loader: Any) -> list[Node | None]:
        nodes = []
        while loader.check_node():
            nodes.append(loader.get_node())
        return nodes

    return cast("list[Node]", _parsed(text, file, documents))


def _parsed(text: str, file: str, take: Callable[[Any], list[Node | None]]) -> list[Node | None]:
    try:
        nodes = _read(text, take)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        what = " ".join(part for part in (error.context, error.problem) if part)
        # Newer versions of libyaml have their own limit and message.
        what = "nested too deeply" if "maximum nesting" in what else what
        raise DocumentError(Fault(f"not valid YAML: {what}", file=file, line=line, column=column)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(Fault(f"not valid YAML: {error.reason}", file=file, line=line)) from None
    except RecursionError:
        raise DocumentError(Fault("not valid YAML: nested too deeply", file=file)) from None
    _refuse_nul(text, nodes, file)
    return nodes


def _read(text: str, take: Callable[[Any], list[Node | None]]) -> list[Node | None]:
    try:
        return _read_with(_Loader, text, take)
    except yaml.composer.ComposerError as error:
        if _Loader is _PythonLoader or "duplicate anchor" not in f"{error.context} {error.problem}":
            raise
        # libyaml's composer always rejects these.
        return _read_with(_PythonLoader, text, take)


def _read_with(loader_class: type[Any], text: str, take: Callable[[Any], list[Node | None]]) -> list[Node | None]:
    _refuse_deep(text, loader_class)
    loader = loader_class(text)
    try:
        return take(loader)
    finally:
        loader.dispose()


def _refuse_deep(text: str, loader_class: type[Any]) -> None:
    """Raise for deep nesting: libyaml's binding recurses in C, and would crash the process."""
    if len(text) < SAFE_LENGTH:
        return
    loader = loader_class(text)
    depth = 0
    while loader.check_event():
        event = loader.get_event()
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise RecursionError


def _refuse_nul(text: str, nodes: Sequence[Node | None], file: str) -> None:
    """Raise for NUL characters, which no argument, variable, path or URL can contain."""
    if not _NUL.search(text):
        return
    pending, seen = list(reversed(nodes)), set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode) and "\0" in node.value:
            mark = node.start_mark
            raise DocumentError(
                Fault("it has a NUL character", file=file, line=mark.line + 1, column=mark.column + 1)
            )
        if isinstance(node, yaml.MappingNode):
            pending += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            pending += reversed(node.value)
