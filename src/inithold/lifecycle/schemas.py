"""JSON Schemas (2020-12) of what inithold reads and writes, made of the classes themselves."""

from __future__ import annotations

import re
import types
from datetime import date
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from yaml.constructor import SafeConstructor

from inithold.lifecycle.preview import Preview
from inithold.plan.model import Pace, PlanFile
from inithold.record.model import Record
from inithold.steps import manual, registry
from inithold.steps.base import Step
from inithold.text.duration import Duration
from inithold.text.yaml12 import compose

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HOME = "https://inithold.readthedocs.io/en/latest/reference"
_DURATION = r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+"
_BY_TYPE: dict[Any, object] = {
    bool: True,
    int: 1,
    float: 1.5,
    list: [],
    tuple: [],
    dict: {},
    Any: {},
    date: "2027-01-31",
}
_TELLS_NOTHING: tuple[object, ...] = (None, msgspec.NODEFAULT, msgspec.UNSET, (), [], {}, "")
_QUOTED = re.compile(r"`([^`]+)`")


def plan() -> dict[str, Any]:
    """The plan file, with the fields of every kind that is built in or installed."""
    kinds = registry.loadable()
    (root, *fields), definitions = _components([PlanFile, *kinds.values()])
    _loosen(definitions)
    definitions["PlanFile"]["patternProperties"] = {"^x-": {}}
    entry = definitions["StepEntry"]
    entry["properties"]["uses"] |= {"enum": list(kinds)}
    entry["allOf"] = [
        {
            "if": {"properties": {"uses": {"const": name}}},
            "then": {"properties": {"with": reference}},
        }
        for name, reference in zip(kinds, fields, strict=True)
    ]
    return _document("plan", root, definitions)


def record() -> dict[str, Any]:
    """The record of a run."""
    (root,), definitions = _components([Record])
    return _document("record", root, definitions)


def preview() -> dict[str, Any]:
    """The output of `inithold plan --json`."""
    (root,), definitions = _components([Preview])
    return _document("preview", root, definitions)


def _components(classes: list[type[msgspec.Struct]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    described = _Described()
    references, definitions = msgspec.json.schema_components(
        [described.struct(cls) for cls in classes], ref_template="#/$defs/{name}"
    )
    return list(references), definitions


def _document(name: str, root: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    identity = {"$schema": DIALECT, "$id": f"{HOME}/{name}.schema.json", "title": f"inithold {name}"}
    return {**identity, **root, "$defs": definitions}


class _Described:
    """Makes structs that say of each field what its class's docstring says.

    Durations are texts there: msgspec 0.18 cannot describe a type of our own.
    """

    def __init__(self) -> None:
        self._made: dict[type, type[msgspec.Struct]] = {}

    def struct(self, cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
        if cls not in self._made:
            self._made[cls] = self._make(cls)
        return self._made[cls]

    def _make(self, cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
        hints = get_type_hints(cls, include_extras=True)
        meanings = manual.meanings(cls)
        name = cls.__name__
        if issubclass(cls, Step):
            name = "".join(part.capitalize() for part in re.split(r"\W", cls.kind))
        shown = _shown_in_example(cls)
        fields: list[tuple[str, Any, Any]] = []
        for field in msgspec.structs.fields(cls):
            hint, default = hints[field.name], _default(field)
            example = shown.get(field.encode_name, _example(field.encode_name, hint, default, meanings))
            meta = msgspec.Meta(
                description=meanings.get(field.name) or None,
                examples=[example],
                # msgspec leaves out a default that is made anew each time.
                extra_json_schema={"default": str(default)} if isinstance(default, Duration) else None,
            )
            value = msgspec.field(name=field.encode_name)
            if field.default_factory is not msgspec.NODEFAULT:
                value = msgspec.field(default_factory=field.default_factory, name=field.encode_name)
            elif not field.required:
                value = msgspec.field(default=field.default, name=field.encode_name)
            fields.append((field.name, Annotated[self._type(hint), meta], value))
        config = cls.__struct_config__
        return msgspec.defstruct(
            name,
            fields,
            namespace={"__doc__": manual.description(cls)},
            kw_only=True,
            forbid_unknown_fields=config.forbid_unknown_fields,
            tag=config.tag,
            tag_field=config.tag_field,
        )

    def _type(self, hint: Any) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return Annotated[(self._type(arguments[0]), *arguments[1:])]
        if origin in (Union, types.UnionType):
            return Union[tuple(map(self._type, arguments))]  # noqa: UP007 - of a list that is made here
        if arguments and origin is not Literal:
            return origin[tuple(self._type(each) if each is not ... else each for each in arguments)]
        if isinstance(hint, type) and issubclass(hint, Duration):
            pattern = f"never|{_DURATION}" if issubclass(hint, Pace) else _DURATION
            return Annotated[str, msgspec.Meta(pattern=f"^({pattern})$")]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return self.struct(hint)
        return hint


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _shown_in_example(cls: type) -> dict[str, Any]:
    """The fields that the example in a class's docstring has."""
    node = compose(manual.example(cls).strip("`").removeprefix("yaml\n"), file=cls.__name__)
    if node is None:
        return {}
    (step, *_) = SafeConstructor().construct_document(node)
    return dict(step["with"])


def _example(name: str, hint: Any, default: object, meanings: dict[str, str]) -> object:
    """A value that fits: the default, one that the docstring quotes, or one by type."""
    if isinstance(default, Duration):
        return str(default)
    if default not in (None, msgspec.NODEFAULT, msgspec.UNSET, (), [], {}, "") and not isinstance(
        default, msgspec.Struct
    ):
        return default
    option = next(option for option in _options(hint) if option is not type(None))
    quoted = _QUOTED.search(meanings.get(name, ""))
    if option in (str, int) and quoted and (option is str or quoted[1].isdigit()):
        return option(quoted[1])
    if option is str:
        return f"${{{name.upper()}}}"
    if get_origin(option) is Literal:
        return get_args(option)[0]
    return _example_of_class(option) if isinstance(option, type) else _BY_TYPE.get(get_origin(option), {})


def _example_of_class(cls: type) -> object:
    if issubclass(cls, Duration):
        return "1m" if issubclass(cls, Pace) else "5s"
    return _example_struct(cls) if issubclass(cls, msgspec.Struct) else _BY_TYPE.get(cls, {})


def _example_struct(cls: type[msgspec.Struct]) -> dict[str, object]:
    """A mapping with what is required in it, or with its first field."""
    hints, meanings = get_type_hints(cls, include_extras=True), manual.meanings(cls)
    fields = msgspec.structs.fields(cls)
    shown = [field for field in fields if field.required] or fields[:1]
    return {
        field.encode_name: _example(field.encode_name, hints[field.name], _default(field), meanings)
        for field in shown
    }


def _options(hint: Any) -> list[Any]:
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [option for each in get_args(hint) for option in _options(each)]
    return [hint]


def _loosen(schema: Any) -> None:
    """Let numbers and truth values be given as `${VARIABLE}` too: interpolation makes text of them first."""
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
