"""The schemas say of every property what it is and give a value that fits it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from inithold.lifecycle import schemas
from inithold.steps import manual, registry

SCHEMAS = {"plan": schemas.plan, "record": schemas.record, "preview": schemas.preview}


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in schema["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            yield f"{name}.{key}", value


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_has_a_description_and_an_example_that_fits(name: str) -> None:
    schema = SCHEMAS[name]()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/{name}.schema.json")
    found = dict(properties(schema))
    assert len(found) > (200 if name == "plan" else 10)
    assert [key for key, value in found.items() if not value.get("description")] == []
    for key, value in found.items():
        assert value["examples"], key
        for example in value["examples"]:
            jsonschema.Draft202012Validator({**value, "$defs": schema["$defs"]}).validate(example)


def test_descriptions_are_those_of_inithold_kinds() -> None:
    definitions = schemas.plan()["$defs"]
    for name, kind in registry.loadable().items():
        definition = definitions["".join(part.capitalize() for part in name.split("."))]
        page = manual.page(kind)
        assert definition["description"].startswith(page.summary.partition(". ")[0][:40])
        assert "Args:" not in definition["description"]
        for field in page.fields:
            assert definition["properties"][field.name]["description"] == field.meaning


def test_a_duration_has_its_default() -> None:
    hold = schemas.plan()["$defs"]["Hold"]["properties"]
    assert hold["grace"]["default"] == "30s"
    assert hold["grace"]["pattern"] == schemas.plan()["$defs"]["Retry"]["properties"]["delay"]["pattern"]
