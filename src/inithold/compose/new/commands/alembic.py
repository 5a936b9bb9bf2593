"""`alembic upgrade` in its forms."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.compose.new.commands.context import Place, program
from inithold.compose.new.model import DraftStep, Item
from inithold.compose.new.script import Call

_VALUED = {"-c": "config", "--config": "config", "-n": "name", "--name": "name", "-x": "x"}


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:
    """`alembic.upgrade` for `alembic upgrade REVISION`; None for what else Alembic is asked to do."""
    own = _arguments(words)
    if own is None or any("$$" in word for word in own):
        return None
    given, rest = _options(own)
    if rest[:1] != ["upgrade"] or len(rest) != 2 or rest[1].startswith(("+", "-")) or ":" in rest[1]:
        return None
    named = place.environment.value("ALEMBIC_CONFIG")
    config = given.get("config", [named or "alembic.ini"])[-1]
    fields = {"config": place.path(config)}
    if rest[1] != "head":
        fields["target"] = rest[1]
    fields |= {key: values[-1] for key, values in given.items() if key == "name"}
    step = DraftStep("migrate", "alembic.upgrade", dict(fields), [f"runs `{call.raw}`"])
    if "x" in given:
        step.fields["x"] = given["x"]
    if place.folder:
        step.todo.append(f"paths in {step.fields['config']} must start with %(here)s: the step does not `cd`")
    if call.ignored:
        step.on_failure = "continue"
    return [step]


def _arguments(words: Sequence[str]) -> list[str] | None:
    if program(words) == "alembic":
        return list(words[1:])
    if program(words).startswith("python") and list(words[1:3]) == ["-m", "alembic"]:
        return list(words[3:])
    return None


def _options(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    given: dict[str, list[str]] = {}
    rest: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        name, equals, value = word.partition("=")
        if word in _VALUED and at + 1 < len(words):
            given.setdefault(_VALUED[word], []).append(words[at + 1])
            at += 1
        elif equals and name in _VALUED:
            given.setdefault(_VALUED[name], []).append(value)
        elif word != "--raiseerr":
            rest.append(word)
        at += 1
    return given, rest
