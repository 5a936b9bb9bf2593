"""JSON Schemas (2020-12) of inithold's file formats, generated from its classes."""

from __future__ import annotations

import re
import types
from datetime import date
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from yaml.constructor import SafeConstructor

from inithold.lifecycle.preview import Preview
from inithold.plan.model import Pace, PlanFile
from inithold.record.model import Record
from inithold.steps import manual, registry
from inithold.steps.base import Step
from inithold.text.duration import Duration
from inithold.text.yaml12 import compose
from inithold.version import DOCUMENTATION

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DURATION = r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+"
_BY_TYPE: dict[Any, object] = {bool: True, int: 1, float: 1.5, list: [], tuple: [], date: "2027-01-31"}
_TELLS_NOTHING: tuple[object, ...] = (None, msgspec.NODEFAULT, msgspec.UNSET, (), [], {}, "")
_QUOTED = re.compile(r"`([^`]+)`")


def plan() -> dict[str, Any]:
    """The plan file, with the fields of every built-in and installed kind."""
    kinds = registry.loadable()
    schema, fields = _document("plan", PlanFile, *kinds.values())
    definitions = schema["$defs"]
    _loosen(definitions)
    definitions["PlanFile"]["patternProperties"] = {"^x-": {}}
    entry = definitions["StepEntry"]
    entry["properties"]["uses"] |= {"enum": list(kinds)}
    entry["allOf"] = [
        {"if": {"properties": {"uses": {"const": name}}}, "then": {"properties": {"with": reference}}}
        for name, reference in zip(kinds, fields, strict=True)
    ]
    return schema


def record() -> dict[str, Any]:
    """The record of a run."""
    return _document("record", Record)[0]


def preview() -> dict[str, Any]:
    """The output of `inithold plan --json`."""
    return _document("preview", Preview)[0]


def _document(
    name: str, root: type[msgspec.Struct], *others: type[msgspec.Struct]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The schema of a class, and references to the other classes, which its `$defs` contain."""
    described: dict[type, type[msgspec.Struct]] = {}
    (own, *references), definitions = msgspec.json.schema_components(
        [_described(cls, described) for cls in (root, *others)], ref_template="#/$defs/{name}"
    )
    identity = {
        "$schema": DIALECT,
        "$id": f"{DOCUMENTATION}reference/{name}.schema.json",
        "title": f"inithold {name}",
    }
    return {**identity, **own, "$defs": definitions}, references


def _described(cls: type[msgspec.Struct], made: dict[type, type[msgspec.Struct]]) -> type[msgspec.Struct]:
    """A copy of a struct whose fields have the class docstring's descriptions and an example."""
    if cls in made:
        return made[cls]
    hints, meanings = get_type_hints(cls, include_extras=True), manual.meanings(cls)
    # The values in the docstring's example.
    node = compose(manual.example(cls).strip("`").removeprefix("yaml\n"), file=cls.__name__)
    shown = {} if node is None else dict(SafeConstructor().construct_document(node)[0]["with"])
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(cls):
        name, hint, default = field.encode_name, hints[field.name], _default(field)
        meta = msgspec.Meta(
            description=meanings.get(field.name) or None,
            examples=[shown.get(name, _example(name, hint, default, meanings))],
            # msgspec leaves out defaults that come from a factory.
            extra_json_schema={"default": str(default)} if isinstance(default, Duration) else None,
        )
        value = cast(Any, msgspec.field)(name=name, default=field.default, default_factory=field.default_factory)
        fields.append((field.name, Annotated[_type(hint, made), meta], value))
    kind = "".join(part.capitalize() for part in re.split(r"\W", cls.kind)) if issubclass(cls, Step) else ""
    config = cls.__struct_config__
    made[cls] = msgspec.defstruct(
        kind or cls.__name__,
        fields,
        namespace={"__doc__": manual.description(cls)},
        kw_only=True,
        forbid_unknown_fields=config.forbid_unknown_fields,
        tag=config.tag,
        tag_field=config.tag_field,
    )
    return made[cls]


def _type(hint: Any, made: dict[type, type[msgspec.Struct]]) -> Any:
    """The type with its structs `_described`, durations as str: msgspec 0.18 has no schema for custom types."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(_type(arguments[0], made), *arguments[1:])]
    if origin in (Union, types.UnionType):
        return Union[tuple(_type(each, made) for each in arguments)]  # noqa: UP007 - the members are computed
    if arguments and origin is not Literal:
        return origin[tuple(each if each is ... else _type(each, made) for each in arguments)]
    if isinstance(hint, type) and issubclass(hint, Duration):
        pattern = f"never|{_DURATION}" if issubclass(hint, Pace) else _DURATION
        return Annotated[str, msgspec.Meta(pattern=f"^({pattern})$")]
    return _described(hint, made) if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else hint


def _default(field: msgspec.structs.FieldInfo) -> Any:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def _example(name: str, hint: Any, default: object, meanings: dict[str, str]) -> object:
    """An example value: the default, one quoted in the docstring, or one by type."""
    if isinstance(default, Duration):
        return str(default)
    if default not in _TELLS_NOTHING and not isinstance(default, msgspec.Struct):
        return default
    while get_origin(hint) in (Annotated, Union, types.UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    quoted = _QUOTED.search(meanings.get(name, ""))
    if hint in (str, int) and quoted and (hint is str or quoted[1].isdigit()):
        return hint(quoted[1])
    if hint is str:
        return f"${{{name.upper()}}}"
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, Duration):
        return "1m" if issubclass(hint, Pace) else "5s"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        # Its required fields, or else its first field.
        hints, meanings = get_type_hints(hint, include_extras=True), manual.meanings(hint)
        fields = msgspec.structs.fields(hint)
        return {
            field.encode_name: _example(field.encode_name, hints[field.name], _default(field), meanings)
            for field in [field for field in fields if field.required] or fields[:1]
        }
    return _BY_TYPE.get(get_origin(hint) or hint, {})


def _loosen(schema: Any) -> None:
    """Also accept `${VARIABLE}` for numbers and booleans."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number", "boolean"):
            kept = {name: schema.pop(name) for name in ("description", "examples", "default") if name in schema}
            own = dict(schema)
            schema.clear()
            schema.update(anyOf=[own, {"type": "string", "pattern": r"\$\{.+\}"}], **kept)
            return
        for value in schema.values():
            _loosen(value)
    elif isinstance(schema, list):
        for value in schema:
            _loosen(value)
