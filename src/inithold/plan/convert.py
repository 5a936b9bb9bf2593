"""Turns parsed values into typed ones and finds every fault on the way, each with the path to it."""

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
SCALARS = (str, int, float, bool)


_TYPE = re.compile(r"`([^`]*)`")
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
    """Stands for a value that has been reported."""


INVALID = Invalid()


def duration_hook(wanted: type, value: object) -> object:
    """How msgspec reads the types it does not know."""
    if issubclass(wanted, Duration):
        if isinstance(value, str):
            return wanted.parse(value)
        if isinstance(value, Duration):
            return wanted(value)
        raise ValueError(f"expected {EXPECTED}")
    raise NotImplementedError(wanted)


def convert(value: object, wanted: Any, report: Report, raw: Callable[[Path], str | None], path: Path = ()) -> Any:
    """Convert a parsed value to a type.

    Args:
        value: what YAML and interpolation gave.
        wanted: a type: a msgspec struct, a scalar, a list, a mapping, a union of them.
        report: called with path and message for each fault.
        raw: gives the scalar at a path as it is written in the file, so that `012` can be text.
        path: where the value stands.

    Returns:
        the typed value, or `INVALID` where a fault was reported.
    """
    try:
        return msgspec.convert(value, wanted, strict=False, dec_hook=duration_hook)
    except msgspec.ValidationError:
        faults: list[tuple[Path, str]] = []
        result = _Slow(lambda at, message: faults.append((at, message)), raw).convert(value, wanted, path)
        for at, message in faults:
            report(at, message)
        return INVALID if faults else result


class _Slow:
    """Walks value and type side by side: slower than msgspec, but it does not stop at the first fault."""

    def __init__(self, report: Report, raw: Callable[[Path], str | None]) -> None:
        self._report = report
        self._raw = raw

    def convert(self, value: object, wanted: Any, path: Path) -> Any:
        wanted, constrained = _unwrap(wanted)
        origin = get_origin(wanted)
        if origin in (Union, types.UnionType):
            return self._union(value, get_args(wanted), constrained, path)
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            return self._struct(value, wanted, path)
        if origin in (list, tuple, Sequence) and isinstance(value, list):
            element = get_args(wanted)[0]
            items = [self.convert(item, element, (*path, index)) for index, item in enumerate(value)]
            return INVALID if INVALID in items else self._leaf(items, constrained, path)
        if origin is dict and isinstance(value, dict):
            return self._mapping(value, get_args(wanted)[1], path)
        return self._leaf(self._as_written(value, wanted, path), constrained, path)

    def _union(self, value: object, options: Sequence[Any], constrained: Any, path: Path) -> Any:
        if value is None and type(None) in options:
            return None
        # A union of one thing and None is that thing; among several, the one of the value's own shape.
        some = [option for option in options if option is not type(None)]
        shaped = [option for option in some if _has_shape(option, value)]
        if len(some) == 1 or len(shaped) == 1:
            return self.convert(value, (some if len(some) == 1 else shaped)[0], path)
        return self._leaf(value, constrained, path)

    def _struct(self, value: object, wanted: type[msgspec.Struct], path: Path) -> Any:
        if not isinstance(value, dict):
            self._report(path, f"expected a mapping, got {_name(value)}")
            return INVALID
        fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
        known: dict[str, Any] = {}
        for key, item in value.items():
            if key not in fields:
                self._report((*path, key), f"unknown key {key!r}{nearest(str(key), fields)}")
            else:
                known[fields[key].name] = self.convert(item, fields[key].type, (*path, key))
        for name, field in fields.items():
            if field.required and name not in value:
                self._report(path, f"{name!r} is missing")
        if INVALID in known.values() or any(field.required and n not in value for n, field in fields.items()):
            return INVALID
        return wanted(**known)

    def _mapping(self, value: dict[str, object], wanted: Any, path: Path) -> Any:
        items = {key: self.convert(item, wanted, (*path, key)) for key, item in value.items()}
        return INVALID if INVALID in items.values() else items

    def _as_written(self, value: object, wanted: Any, path: Path) -> object:
        if wanted is str and isinstance(value, int | float) and (raw := self._raw(path)) is not None:
            return raw
        return value

    def _leaf(self, value: object, wanted: Any, path: Path) -> Any:
        try:
            return msgspec.convert(value, wanted, strict=False, dec_hook=duration_hook)
        except msgspec.ValidationError as error:
            self._report(path, self._say(value, wanted, str(error)))
            return INVALID

    def _say(self, value: object, wanted: Any, message: str) -> str:
        plain = _unwrap(wanted)[0]
        if _is_literal(plain):
            choices = [str(choice) for choice in _choices(plain)]
            return f"expected {' or '.join(choices)}{did_you_mean(str(value), choices)}"
        if "regex" in message and (described := _described(wanted)):
            return f"expected {described}"
        if _mentions(plain, Duration):
            # In our own words where the type itself refused it; msgspec's begin with a capital letter.
            return message.partition(" - at `")[0] if message.startswith("expected") else f"expected {EXPECTED}"
        # msgspec adds the path within the value, which is empty here.
        said = _TYPE.sub(_in_words, message.partition(" - at `")[0])
        return f"{said[:1].lower()}{said[1:]}"


def _unwrap(wanted: Any) -> tuple[Any, Any]:
    """The type without its annotations, and with them."""
    if get_origin(wanted) is Annotated:
        return get_args(wanted)[0], wanted
    return wanted, wanted


def _in_words(found: re.Match[str]) -> str:
    """Types in the words of a plan's readers: `str | null` is a text or nothing."""
    names = re.sub(r"^(\w+)", lambda word: _WORDS.get(word[0], word[0]), found[1])
    return re.sub(r" \| (\w+)", lambda word: f" or {_WORDS.get(word[1], word[1])}", names)


def _described(wanted: Any) -> str:
    """What a type's annotation says of it, to be put behind `expected`."""
    texts = [meta.description for meta in get_args(wanted)[1:] if isinstance(meta, msgspec.Meta)]
    text = next((text for text in texts if text), "")
    return f"{text[:1].lower()}{text[1:].rstrip('.')}"


def _has_shape(option: Any, value: object) -> bool:
    plain = _unwrap(option)[0]
    origin = get_origin(plain)
    if isinstance(value, dict):
        return origin is dict or (isinstance(plain, type) and issubclass(plain, msgspec.Struct))
    if isinstance(value, list):
        return origin in (list, tuple, Sequence)
    return plain in SCALARS and isinstance(value, plain)


def _is_literal(wanted: Any) -> bool:
    return get_origin(wanted) is Literal


def _choices(wanted: Any) -> Sequence[object]:
    return get_args(wanted)


def _mentions(wanted: Any, kind: type) -> bool:
    if isinstance(wanted, type) and issubclass(wanted, kind):
        return True
    return any(_mentions(option, kind) for option in get_args(wanted) if option is not wanted)


def _name(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")
