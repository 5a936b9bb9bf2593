"""Classifies a healthcheck by what its test looks at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from inithold.compose.read.tree import Mapping, Scalar, Sequence, Value, is_absent
from inithold.compose.stack.command import always_succeeds

if TYPE_CHECKING:
    from inithold.compose.read.tree import Place

_MARKER = re.compile(
    r"(?:\btest|\[\[?)\s+(?:-[a-z]\s+['\"]?(?=/)|-[efs]\s+['\"]?(?=[\w.]))([^\s'\"\];&|]+)"
    r"|^\s*(?:ls|cat|stat)\s+['\"]?(/[^\s'\";&|>]+)"
)
_HEALTH = re.compile(r"(?:^|[\s;&|/])inithold\s+health\b([^;&|]*)")
_FAILS = re.compile(r"(?:(?:/usr)?/bin/)?false|(?:exit|return)\s+[1-9]\d*")
_BUILT_IN = {"exit", "return", ":"}
"""Shell builtins without a program of that name."""
_NESTED = re.compile(r"(?:/bin/)?(?:ba|da|a)?sh\s+-c\s+(['\"])(.*)\1", re.S)
_PROCESS = re.compile(r"\b(?:pgrep|pidof|kill\s+-0)\b|\bps\b.*\bgrep\b")


class Sight(StrEnum):
    """What a healthcheck's test looks at."""

    NONE = "none"
    DISABLED = "disabled"
    INITHOLD = "inithold"
    MARKER = "marker"
    ALWAYS = "always"
    PROCESS = "process"
    NEVER = "never"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Probe:
    """A healthcheck's test.

    Args:
        sight: what it looks at.
        path: its marker; None if it has none or uses the default of `inithold health`.
        place: where the test, or `disable`, is written; None if there is no test.
        waits: it is `inithold health --wait`.
    """

    sight: Sight
    path: str | None = None
    place: Place | None = None
    waits: bool = False


def read_probe(healthcheck: Value | None) -> Probe:
    """Read a `healthcheck` in any of its forms."""
    if not isinstance(healthcheck, Mapping):
        return Probe(Sight.NONE)
    disable = healthcheck.get("disable")
    if isinstance(disable, Scalar) and disable.filled.lower() == "true":
        return Probe(Sight.DISABLED, place=disable.place)
    test = healthcheck.get("test")
    if test is None or is_absent(test):
        return Probe(Sight.NONE)
    if isinstance(test, Scalar):
        return _shell(test.filled, test.place)
    items = [item.filled for item in test.items if isinstance(item, Scalar)] if isinstance(test, Sequence) else []
    if not items:
        return Probe(Sight.NONE)
    if items[0] == "NONE":
        return Probe(Sight.DISABLED, place=test.place)
    if items[0] not in ("CMD", "CMD-SHELL") or (
        items[0] == "CMD"
        and (not _BUILT_IN.isdisjoint(items[1:2]) or (len(items) == 2 and re.search(r"\s", items[1])))
    ):
        # Compose refuses a list without CMD, and the engine finds no program of such a name.
        return Probe(Sight.NEVER, place=test.place)
    nested = len(items) == 4 and items[1].rpartition("/")[2] in ("sh", "bash", "ash") and items[2] == "-c"
    return _shell(items[3] if items[0] == "CMD" and nested else " ".join(items[1:]), test.place)


def _shell(text: str, place: Place) -> Probe:
    if nested := _NESTED.fullmatch(text.strip()):
        return _shell(nested[2], place)
    if always_succeeds(text):
        return Probe(Sight.ALWAYS, place=place)
    if health := _HEALTH.search(text):
        marker = re.search(r"--marker[= ](\S+)", health[1])
        return Probe(Sight.INITHOLD, marker[1] if marker else None, place, "--wait" in health[1])
    if found := _MARKER.search(text):
        return Probe(Sight.MARKER, found[1] or found[2], place)
    if _PROCESS.search(text):
        return Probe(Sight.PROCESS, place=place)
    never = text.strip() == "NONE" or _FAILS.fullmatch(text.strip())
    return Probe(Sight.NEVER if never else Sight.OTHER, place=place)
