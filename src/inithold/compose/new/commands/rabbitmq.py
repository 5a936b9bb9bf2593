"""`rabbitmqadmin declare` in both of its forms (`name=x`, and `--name x` from version 2 on), and definitions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from inithold.compose.new.commands.context import Place, option, program
from inithold.compose.new.model import DraftStep, Item
from inithold.compose.new.script import Call

_LISTS = {"queue": "queues", "exchange": "exchanges", "binding": "bindings"}
_TRUTHS = {"durable": True, "auto_delete": False, "internal": False, "exclusive": False}
_KEYS = {
    "queue": ("name", "durable", "auto_delete", "type", "arguments"),
    "exchange": ("name", "type", "durable", "auto_delete", "internal", "arguments"),
    "binding": ("source", "destination", "destination_type", "routing_key", "arguments"),
}


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:
    """`rabbitmq.topology` with the object that is declared, or the definitions that are imported."""
    name = program(words)
    if name not in ("rabbitmqadmin", "rabbitmqctl") or any("$$" in word for word in words):
        return None
    file = _definitions(words)
    if file is not None:
        fields: dict[str, Any] = {"definitions": place.path(file)}
        return [DraftStep("topology", "rabbitmq.topology", fields, [f"runs `{call.raw}`"])]
    kind = option(words, "declare") if name == "rabbitmqadmin" else None
    if kind not in _LISTS:
        return None
    given = _given(words[list(words).index("declare") + 2 :])
    made = _object(kind, given)
    if made is None:
        return None
    return [DraftStep("topology", "rabbitmq.topology", {_LISTS[kind]: [made]}, ["what rabbitmqadmin declares"])]


def _definitions(words: Sequence[str]) -> str | None:
    for word in ("import", "import_definitions"):
        if word in words[1:-1]:
            return option(words, word)
    return option(words, "--file") if "definitions" in words and "import" in words else None


def _given(words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("--") and not equals and at + 1 < len(words):
            value, at = words[at + 1], at + 1
        if equals or word.startswith("--"):
            found[name.replace("-", "_").replace("queue_type", "type")] = value
        at += 1
    return found


def _object(kind: str, given: dict[str, str]) -> dict[str, Any] | None:
    made: dict[str, Any] = {key: given[key] for key in _KEYS[kind] if given.get(key)}
    if set(given) - set(_KEYS[kind]) - {"vhost"} or ("name" not in made and kind != "binding"):
        return None
    for key in _TRUTHS.keys() & made.keys():
        made[key] = made[key].lower() == "true"
        if made[key] == _TRUTHS[key]:
            del made[key]
    try:
        made |= {"arguments": json.loads(made["arguments"])} if "arguments" in made else {}
    except ValueError:
        return None
    return _binding(made) if kind == "binding" else made


def _binding(made: dict[str, Any]) -> dict[str, Any] | None:
    if "source" not in made or "destination" not in made:
        return None
    target = "destination_exchange" if made.get("destination_type") == "exchange" else "queue"
    renamed = {"exchange": made["source"], target: made["destination"]}
    return renamed | {key: made[key] for key in ("routing_key", "arguments") if key in made}
