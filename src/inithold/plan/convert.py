"""Converts parsed values to typed ones, and reports every fault with its path."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from inithold.text.duration import EXPECTED, Duration
from inithold.text.suggest import did_you_mean, nearest

Path = tuple[str | int, ...]
Report = Callable[[Path, str], None]
Raw = Callable[[Path], str | None]

_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class Invalid:
    """The type of `INVALID`, which replaces a value whose fault was reported."""


INVALID = Invalid()


def duration_hook(type_: type, value: object) -> object:
    """msgspec's `dec_hook`: decodes durations."""
    if not issubclass(type_, Duration):
        raise NotImplementedError(type_)
    return type_(value) if isinstance(value, Duration) else type_.parse(str(value))


def convert(value: object, type_: Any, report: Report, raw: Raw = lambda _: None, *, path: Path = ()) -> Any:
    """Convert a parsed value to a type.

    Args:
        value: the value from YAML, interpolated.
        type_: a msgspec struct, a scalar, a list, a mapping, or a union of them.
        report: called with path and message for each fault.
        raw: returns the scalar at a path as written in the file, so that `012` can be text.

    Returns:
        the typed value, or `INVALID` if a fault was reported.
    """
    try:
        return msgspec.convert(value, type_, strict=False, dec_hook=duration_hook)
    except msgspec.ValidationError:
        return _Walk(report, raw).convert(value, type_, path)


class _Walk:
    """Converts recursively: slower than msgspec, but it does not stop at the first fault."""

    def __init__(self, report: Report, raw: Raw) -> None:
        self._report = report
        self._raw = raw

    def convert(self, value: object, type_: Any, path: Path) -> Any:
        plain = _plain(type_)
        origin = get_origin(plain)
        if origin in (Union, types.UnionType):
            if value is None and type(None) in get_args(plain):
                return None
            # `X | None`: convert to X. Of several types, take the one of the value's shape.
            options = [option for option in get_args(plain) if option is not type(None)]
            fitting = options if len(options) == 1 else [each for each in options if _has_shape(each, value)]
            return self.convert(value, fitting[0], path) if len(fitting) == 1 else self._leaf(value, type_, path)
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
            return self._struct(value, plain, path)
        if origin in (list, tuple, Sequence) and isinstance(value, list):
            items = [self.convert(item, get_args(plain)[0], (*path, n)) for n, item in enumerate(value)]
            return INVALID if INVALID in items else self._leaf(items, type_, path)
        if origin is dict and isinstance(value, dict):
            entries = {key: self.convert(item, get_args(plain)[1], (*path, key)) for key, item in value.items()}
            return INVALID if INVALID in entries.values() else entries
        if plain is str and isinstance(value, int | float) and (written := self._raw(path)) is not None:
            value = written
        return self._leaf(value, type_, path)

    def _struct(self, value: object, type_: type[msgspec.Struct], path: Path) -> Any:
        if not isinstance(value, dict):
            names = {list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
            self._report(path, f"expected a mapping, got {names.get(type(value), 'a number')}")
            return INVALID
        fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
        unknown = [key for key in value if key not in fields]
        for key in unknown:
            self._report((*path, key), f"unknown key {key!r}{nearest(str(key), fields)}")
        known = {
            fields[key].name: self.convert(item, fields[key].type, (*path, key))
            for key, item in value.items()
            if key in fields
        }
        missing = [name for name, field in fields.items() if field.required and name not in value]
        for name in missing:
            self._report(path, f"{name!r} is missing")
        return INVALID if unknown or missing or INVALID in known.values() else type_(**known)

    def _leaf(self, value: object, type_: Any, path: Path) -> Any:
        try:
            return msgspec.convert(value, type_, strict=False, dec_hook=duration_hook)
        except msgspec.ValidationError as error:
            self._report(path, _message(value, type_, str(error)))
            return INVALID


def _message(value: object, type_: Any, message: str) -> str:
    plain = _plain(type_)
    if get_origin(plain) is Literal:
        choices = [str(choice) for choice in get_args(plain)]
        return f"expected {' or '.join(choices)}{did_you_mean(str(value), choices)}"
    described = [meta.description for meta in get_args(type_)[1:] if isinstance(meta, msgspec.Meta)]
    if "regex" in message and (text := next(filter(None, described), "")):
        return f"expected {text[:1].lower()}{text[1:].rstrip('.')}"
    # msgspec appends a path, which here says nothing.
    message = message.partition(" - at `")[0]
    if _mentions_duration(plain):
        # Keep our own messages, which begin in lower case; replace msgspec's.
        return message if message.startswith("expected") else f"expected {EXPECTED}"
    # Translate types for the plan's authors: `str | null` becomes `a text or nothing`.
    message = re.sub(
        r"`([^`]*)`", lambda names: " or ".join(_WORDS.get(n, n) for n in names[1].split(" | ")), message
    )
    return f"{message[:1].lower()}{message[1:]}"


def _plain(type_: Any) -> Any:
    """The type without its annotations."""
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def _has_shape(type_: Any, value: object) -> bool:
    plain = _plain(type_)
    origin = get_origin(plain)
    if isinstance(value, dict):
        return origin is dict or (isinstance(plain, type) and issubclass(plain, msgspec.Struct))
    if isinstance(value, list):
        return origin in (list, tuple, Sequence)
    return plain in (str, int, float, bool) and isinstance(value, plain)


def _mentions_duration(type_: Any) -> bool:
    if isinstance(type_, type) and issubclass(type_, Duration):
        return True
    return any(_mentions_duration(option) for option in get_args(type_) if option is not type_)
