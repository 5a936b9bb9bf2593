"""The findings of rules, and the changes to the merged stack that fix them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from inithold.redaction.literals import find_literals
from inithold.text.url import MASK

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place, Source, Value


class Severity(StrEnum):
    """`error` breaks a start, `warning` costs time or safety, `info` is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Delete:
    """The value of a change that removes the key."""

    def __repr__(self) -> str:
        return "DELETE"


DELETE: Final = Delete()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one value of the merged stack.

    Args:
        service: name of the service.
        path: where in the service, such as `("healthcheck", "start_period")`; empty to add a service.
        value: plain data, or DELETE.
        everywhere: change it in every file that has the value, even if a later file overrides it: stacks are also
            started with only some of their files.
        first: also add it to the service's first file if that does not have it.
    """

    service: str
    path: tuple[str, ...]
    value: Any
    everywhere: bool = False
    first: bool = False

    def __str__(self) -> str:
        where = ".".join((self.service, *self.path))
        return f"{where} removed" if self.value is DELETE else f"{where}: {_shown(self.value)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        words = (
            _masked("\x1f".join(map(str, value))).split("\x1f")
            if all(isinstance(each, str) for each in value)
            else value
        )
        return "[" + ", ".join(_shown(entry) for entry in words) + "]"
    text = _masked(str(value)).replace("\n", "\\n")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _masked(text: str) -> str:
    """Mask the literal secrets in a command."""
    for literal in sorted(find_literals(text), reverse=True):
        text = f"{text[: literal.start]}{MASK}{text[literal.end :]}"
    return text


@dataclass(frozen=True, slots=True)
class Location:
    """A span of a file. Lines and columns are 1-based, the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A finding of a rule.

    Args:
        severity: its severity.
        message: one sentence on what will happen at run time.
        location: the exact value.
        service: the service at fault.
        init: the init service it is about, if another.
        changes: the changes that fix it together.
        unsafe: the changes may alter behaviour beyond the pattern.
        remedy: what to do by hand if there are no changes.
        note: what the user must take care of after the changes.
        rule: the rule's id.
    """

    severity: Severity
    message: str
    location: Location
    service: str
    init: str | None = None
    changes: Sequence[Change] = ()
    unsafe: bool = False
    remedy: str | None = None
    note: str | None = None
    rule: str = ""

    @property
    def manual(self) -> str:
        """The command that shows the rule's page."""
        return f"inithold compose rule {self.rule}"

    @property
    def fix(self) -> str:
        """How to fix it: the changes, or what to do by hand."""
        if self.changes:
            return f"fix{' (unsafe)' if self.unsafe else ''}: {'; '.join(map(str, self.changes))}"
        return f"by hand: {self.remedy}" if self.remedy else "by hand"


def location_of(place: Place) -> Location:
    """Return the span of a value without anchor and tag, or of its key for a block collection or empty value."""
    node, source, start = place.node, place.source, place.start
    end = min(node.end_mark.index, source.line_end(start))
    block = not (isinstance(node.value, str) or getattr(node, "flow_style", None))
    several_lines = node.start_mark.line != node.end_mark.line
    if place.key is not None and (end <= start or (block and several_lines and node.value)):
        return _span(source, place.key.start_mark.index, place.key.end_mark.index)
    return _span(source, start, max(end, start))


def spot(service: Service, *path: str) -> Location:
    """Return where the merged value at `path` is written, or else the nearest key above it."""
    value = service.value(*path)
    if value is not None:
        return location_of(value.place)
    above = (service.value(*path[:length]) for length in range(len(path) - 1, 0, -1))
    return key_location(next((each for each in above if each is not None), service.layers[0].written))


def key_location(value: Value) -> Location:
    """Return the span of a value's key, or of the value if it has none."""
    place = value.places[0]
    if place.key is None:
        return location_of(place)
    return _span(place.source, place.key.start_mark.index, place.key.end_mark.index)


def _span(source: Source, start: int, end: int) -> Location:
    first, last = ((source.line_of(offset) + 1, offset - source.line_start(offset) + 1) for offset in (start, end))
    return Location(source.name, *first, *last)
