"""What a fix may change: the spans of the fields it names, and of `docker compose config` what it announces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode

from inithold.compose.edit import layout
from inithold.compose.finding import DELETE, Change
from inithold.compose.read.tree import Source
from inithold.text.yaml12 import compose_all

RAW = ("--no-interpolate", "--no-path-resolution", "--no-normalize", "--no-consistency", "--no-env-resolution")


def assert_only_concerned(old: str, new: str, changed: set[tuple[str, str]]) -> None:
    """Every field of every service that no change names is byte for byte what it was, and so is every comment."""
    assert ("\r\n" in new) == ("\r\n" in old)
    mixed = re.compile(r"\r\n(?s:.*)(?<!\r)\n|(?<!\r)\n(?s:.*)\r\n")
    assert mixed.search(old) or not mixed.search(new), "line endings are mixed"
    before, after = _fields(old), _fields(new)
    for field, text in before.items():
        if field not in changed:
            assert after[field] == text, field
    assert set(after) - set(before) <= changed
    comments = re.findall(r"(?m)(?:^|\s)(#[^\r\n]*)", old)
    kept = re.findall(r"(?m)(?:^|\s)(#[^\r\n]*)", new)
    for comment in comments:
        assert comment in kept, f"lost {comment!r}"
        kept.remove(comment)


def _fields(text: str) -> dict[tuple[str, str], str]:
    """The text of each field of each service, as literally written."""
    (root,) = compose_all(text, file="sample")
    source = Source(Path(), "sample", text, False, [root])
    found = layout.lookup(root, "services")
    assert found is not None
    fields = {}
    for name, service in found[1].value:
        for key, value in service.value if isinstance(service, MappingNode) else ():
            end = layout.entry_end(source, key, value)
            fields[name.value, key.value] = text[key.start_mark.index : end]
    return fields


def announce(view: dict[str, Any], changes: list[Change]) -> None:
    """Make the changes in what `docker compose config` said before."""
    for change in changes:
        data = view[change.service]
        for part in change.path[:-1]:
            if not isinstance(data.get(part), dict):
                data[part] = {}
            data = data[part]
        if change.value is DELETE:
            data.pop(change.path[-1], None)
        else:
            data[change.path[-1]] = change.value


def comparable(services: dict[str, Any]) -> dict[str, Any]:
    """Without what one way of writing says and the other implies."""
    for service in services.values():
        for entry in (service.get("depends_on") or {}).values():
            entry.setdefault("required", True)
        for key in [key for key, value in service.items() if value in (None, {})]:
            del service[key]
    return services
