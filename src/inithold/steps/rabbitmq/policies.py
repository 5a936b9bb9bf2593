"""Policies and runtime parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inithold.redaction.redact import SECRETS
from inithold.steps.base import Change
from inithold.steps.rabbitmq.management import Management
from inithold.steps.rabbitmq.objects import difference
from inithold.steps.rabbitmq.resource import Resource


class Policy(Resource, frozen=True):
    """A policy, which sets optional arguments of all queues or exchanges that its pattern matches."""

    section = "policies"

    name: str
    pattern: str
    definition: dict[str, Any]
    apply_to: str = msgspec.field(default="all", name="apply-to")
    priority: int = 0
    vhost: str = ""

    @property
    def label(self) -> str:
        return f"policy {self.name} in {self.vhost}"

    def path(self) -> tuple[str, ...]:
        return ("policies", self.vhost, self.name)

    def body(self) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "apply-to": self.apply_to,
            "priority": self.priority,
            "definition": self.definition,
        }

    def compared(self, body: Mapping[str, Any]) -> dict[str, Any]:
        named = {name: body.get(name) for name in ("pattern", "apply-to", "priority")}
        return {**named, **(body.get("definition") or {})}


class Parameter(Resource, frozen=True):
    """A runtime parameter of a component, such as a shovel. Its value may hold passwords and is never shown."""

    section = "parameters"

    component: str
    name: str
    value: Any
    vhost: str = ""

    def learn_secrets(self) -> None:
        _learn(self.value)

    @property
    def label(self) -> str:
        return f"parameter {self.component} {self.name} in {self.vhost}"

    def path(self) -> tuple[str, ...]:
        return ("parameters", self.component, self.vhost, self.name)

    def body(self) -> dict[str, Any]:
        return {"component": self.component, "vhost": self.vhost, "name": self.name, "value": self.value}

    def survey(self, api: Management) -> Change | None:
        return _survey_value(self, api, self.value)


class GlobalParameter(Resource, frozen=True):
    """A runtime parameter of the whole broker. Its value is never shown."""

    section = "global_parameters"

    name: str
    value: Any

    def place(self, virtual_host: str) -> Resource:  # noqa: ARG002 - the interface's
        return self

    def learn_secrets(self) -> None:
        _learn(self.value)

    @property
    def label(self) -> str:
        return f"global parameter {self.name}"

    def path(self) -> tuple[str, ...]:
        return ("global-parameters", self.name)

    def body(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value}

    def survey(self, api: Management) -> Change | None:
        return _survey_value(self, api, self.value)


def _survey_value(resource: Resource, api: Management, wanted: Any) -> Change | None:
    seen = api.get(*resource.path())
    if seen is None:
        return Change("+", resource.label)
    if difference({"value": seen.get("value")}, {"value": wanted}) is None:
        return None
    return Change("~", f"{resource.label}: another value")


def _learn(value: Any) -> None:
    """Learn the secrets of the URLs and passwords in a value."""
    if isinstance(value, str):
        SECRETS.add_url(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and any(word in name.lower() for word in ("password", "secret", "token")):
                SECRETS.add(item)
            _learn(item)
    elif isinstance(value, list):
        for item in value:
            _learn(item)
