"""Generates the manual page of a step kind from its class: docstring, fields, types, defaults, rights."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from inithold.steps.base import Step
from inithold.text.duration import Duration, short

_SECTION = re.compile(r"^(Args|Example|Raises|Returns):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+): ", re.MULTILINE)


class Field(NamedTuple):
    """A field of a kind, as in a plan's `with`."""

    name: str
    type: str
    default: str | None
    meaning: str


class Page(NamedTuple):
    """The manual page of a kind."""

    kind: str
    summary: str
    description: str
    fields: Sequence[Field]
    example: str
    facts: Sequence[tuple[str, str]]

    def text(self) -> str:
        """Format the page for a terminal."""
        parts = [f"{self.kind}: {self.summary}", self.description, "Fields:"]
        for field in self.fields:
            default = "required" if field.default is None else f"default: {field.default}"
            meaning = _indent(field.meaning or "-", "      ")
            parts.append(f"  {field.name}  ({field.type}; {default})\n{meaning}")
        parts += [f"{name}: {value}" for name, value in self.facts]
        if self.example:
            parts += ["Example:", _indent(self.example)]
        return "\n\n".join(part for part in parts if part)


def page(kind: type[Step]) -> Page:
    """Return the manual page of a kind's class."""
    summary, _, text = description(kind).partition("\n\n")
    by_field = meanings(kind)
    hints = get_type_hints(kind, include_extras=True)
    fields = [
        Field(field.encode_name, type_name(hints[field.name]), _default(field), by_field.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]
    rights = (("Permissions to check", kind.rights), ("Permissions to apply", kind.apply_rights))
    facts = [fact for fact in rights if fact[1]]
    if kind.looks_only:
        facts.append(("Changes", "none; this kind only checks"))
    facts.append(("Default timeout", short(kind.default_timeout) if kind.default_timeout else "none"))
    return Page(kind.kind, " ".join(summary.split()), text.strip(), fields, example(kind), facts)


def description(cls: type) -> str:
    """Return the docstring of a class without its sections."""
    return _sections(inspect.getdoc(cls) or "")[0]


def meanings(cls: type) -> dict[str, str]:
    """Return the descriptions of the fields, from the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, msgspec.Struct) and base.__doc__:
            pieces = _ENTRY.split(_sections(inspect.cleandoc(base.__doc__))[1].get("Args", ""))
            found |= {pieces[at]: " ".join(pieces[at + 1].split()) for at in range(1, len(pieces), 2)}
    return found


def example(cls: type) -> str:
    """Return the example in the docstring of a class; empty if there is none."""
    return _sections(inspect.getdoc(cls) or "")[1].get("Example", "")


def type_name(wanted: Any) -> str:
    """Return a type in the words of a plan: `text`, `list of text`, `duration`."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_name(option) for option in arguments if option not in _ABSENT))
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (list, tuple, dict):
        return f"{_COLLECTIONS[origin]} of {type_name(arguments[-1 if origin is dict else 0])}"
    if isinstance(wanted, type) and issubclass(wanted, Duration):
        return "duration"
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return f"mapping ({', '.join(field.encode_name for field in msgspec.structs.fields(wanted))})"
    return _NAMES.get(wanted, getattr(wanted, "__name__", str(wanted)))


_ABSENT = (type(None), msgspec.UnsetType)
_COLLECTIONS = {list: "list", tuple: "list", dict: "mapping"}
_NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
}


def _sections(text: str) -> tuple[str, dict[str, str]]:
    pieces = _SECTION.split(text)
    named = {pieces[at]: inspect.cleandoc(pieces[at + 1].strip("\n")) for at in range(1, len(pieces), 2)}
    return pieces[0].strip(), named


def _default(field: msgspec.structs.FieldInfo) -> str | None:
    if field.required:
        return None
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if value is None or value is msgspec.UNSET or value in ("", (), [], {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _indent(text: str, by: str = "  ") -> str:
    return "\n".join(f"{by}{line}" if line else line for line in text.splitlines())
