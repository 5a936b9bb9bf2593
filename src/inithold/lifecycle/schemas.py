"""JSON Schemas (2020-12) of what inithold reads and writes, made of the classes themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from inithold.lifecycle.preview import Preview
from inithold.plan.model import Pace, PlanFile
from inithold.record.model import Record
from inithold.steps import registry
from inithold.text.duration import Duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DURATION = r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+"


def plan() -> dict[str, Any]:
    """The plan file, with the fields of every kind that is built in or installed."""
    kinds = registry.loadable()
    (root, *fields), definitions = _components([PlanFile, *kinds.values()])
    found = _document("inithold plan", root, definitions)
    _loosen(definitions)
    plan_file = definitions["PlanFile"]
    plan_file["patternProperties"] = {"^x-": {}}
    entry = definitions["StepEntry"]
    entry["properties"]["uses"] = {"enum": list(kinds)}
    entry["allOf"] = [
        {
            "if": {"properties": {"uses": {"const": name}}},
            "then": {"properties": {"with": reference}},
        }
        for name, reference in zip(kinds, fields, strict=True)
    ]
    return found


def record() -> dict[str, Any]:
    """The record of a run."""
    (root,), definitions = _components([Record])
    return _document("inithold record", root, definitions)


def preview() -> dict[str, Any]:
    """The output of `inithold plan --json`."""
    (root,), definitions = _components([Preview])
    return _document("inithold preview", root, definitions)


def _components(types: list[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    references, definitions = msgspec.json.schema_components(
        types, schema_hook=_hook, ref_template="#/$defs/{name}"
    )
    return list(references), definitions


def _document(title: str, root: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, "title": title, **root, "$defs": definitions}


def _hook(wanted: type) -> dict[str, Any]:
    if wanted is Pace:
        return {"type": "string", "pattern": rf"^(never|{_DURATION})$", "examples": ["1m", "never"]}
    if wanted is Duration:
        return {"type": "string", "pattern": rf"^{_DURATION}$", "examples": ["250ms", "5s", "1m30s"]}
    raise NotImplementedError(wanted)


def _loosen(schema: Any) -> None:
    """Let numbers and truth values be given as `${VARIABLE}` too: interpolation makes text of them first."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number", "boolean"):
            own = dict(schema)
            description = {"description": own.pop("description")} if "description" in own else {}
            default = {"default": own.pop("default")} if "default" in own else {}
            schema.clear()
            schema.update(anyOf=[own, {"type": "string", "pattern": r"\$\{.+\}"}], **description, **default)
            return
        for value in schema.values():
            _loosen(value)
    elif isinstance(schema, list):
        for value in schema:
            _loosen(value)
