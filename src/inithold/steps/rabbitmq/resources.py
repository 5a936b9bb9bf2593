"""The definitions that only the management API can create, compared with `GET /api/definitions`.

Nothing is deleted, and nobody gains access by a changed password: existing users keep theirs. Tags are added but
never removed. Existing virtual hosts are not changed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import msgspec

from inithold.redaction.redact import SECRETS
from inithold.steps.base import Change
from inithold.steps.rabbitmq.arguments import difference, listed

_HASHES = {
    "rabbit_password_hashing_sha256": "sha256",
    "rabbit_password_hashing_sha512": "sha512",
    "rabbit_password_hashing_md5": "md5",
}
_SALT = 4
"""Bytes of salt before the digest in RabbitMQ's password hashes."""


class Resource(msgspec.Struct, frozen=True):
    """An entry of a section of a definitions file."""

    section: ClassVar[str] = ""
    """The key of its section in the file."""
    key: ClassVar[tuple[str, ...]] = ("name",)
    """The fields that identify it."""
    called: ClassVar[str] = ""
    """The template of its name in changes: `policy {name} in {vhost}`."""
    shown: ClassVar[bool] = True
    """Whether its properties may be shown."""

    def placed(self, virtual_host: str) -> Self:
        """Return it with this virtual host, unless it has one or belongs to the whole broker."""
        return msgspec.structs.replace(self, vhost=virtual_host) if getattr(self, "vhost", None) == "" else self

    @property
    def label(self) -> str:
        """Its name in changes: `policy ha in /`."""
        return self.called.format_map(msgspec.structs.asdict(self))

    def faults(self) -> Iterator[str]:
        """Yield the errors that its types do not exclude."""
        yield from ()

    def learn_secrets(self) -> None:
        """Register its secrets for redaction."""
        if not self.shown:
            SECRETS.add_document(msgspec.structs.asdict(self))

    def properties(self) -> dict[str, Any]:
        """The properties to compare."""
        return {name: value for name, value in self.entry(None).items() if name not in (*self.key, "vhost")}

    def change(self, present: Any) -> Change | str | None:
        """Return the change that is needed, or None; a text for a conflict, which is not to be changed.

        Args:
            present: the broker's entry of this name; None if there is none.
        """
        if present is None:
            return Change("+", self.label, (listed(self.properties()),) if self.shown else ())
        sides = difference(present.properties(), self.properties())
        if sides is None:
            return None
        return Change("~", f"{self.label}: {f'{sides[0]} -> {sides[1]}' if self.shown else 'another value'}")

    def entry(self, present: Any) -> dict[str, Any]:  # noqa: ARG002 - for those that keep something
        """Return it in the format of `POST /api/definitions`; `present` as for `change`."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in fields.items() if value is not None}


class VirtualHost(Resource, frozen=True):
    """A virtual host; an existing one is not changed."""

    section = "vhosts"
    called = "virtual host {name}"
    shown = False

    name: str
    description: str | None = None
    tags: list[str] | str | None = None
    default_queue_type: str | None = None
    metadata: dict[str, Any] | None = None

    def properties(self) -> dict[str, Any]:
        return {}

    def entry(self, present: Any) -> dict[str, Any]:
        entry = super().entry(present)
        if self.tags is not None:
            entry["tags"] = _tags(self.tags)
        kind = self.default_queue_type
        if kind and kind != "undefined":
            # Where RabbitMQ before 3.13 looks for it.
            entry["metadata"] = {"default_queue_type": kind, **(self.metadata or {})}
        return entry


class User(Resource, frozen=True):
    """A user, with a password or its salted hash."""

    section = "users"
    called = "user {name}"

    name: str
    password_hash: str | None = None
    hashing_algorithm: str = "rabbit_password_hashing_sha256"
    password: str | None = None
    tags: list[str] | str = ""
    limits: dict[str, int] | list[Any] | None = None

    def faults(self) -> Iterator[str]:
        if self.password is None and self.password_hash is None:
            yield f"user {self.name} has neither password nor password_hash"
        if self.password is None and self.hashing_algorithm not in _HASHES:
            yield f"user {self.name} has an unknown hashing_algorithm: {self.hashing_algorithm}"
        if self.password_hash and _decoded(self.password_hash) is None:
            yield f"user {self.name} has a password_hash that is not in base64"

    def learn_secrets(self) -> None:
        for secret in (self.password, self.password_hash):
            if secret:
                SECRETS.add(secret, public=[self.name])

    def change(self, present: Any) -> Change | str | None:
        tags = _tags(self.tags)
        if present is None:
            return Change("+", self.label, (f"tags {', '.join(tags)}",) if tags else ())
        if not self._has_password(present):
            return (
                f"{self.label} exists with another password hash than the plan's; "
                "the password of a user that exists is never changed"
            )
        has, limits = _tags(present.tags), _limits(present.limits)
        added = [f"tag {tag}" for tag in tags if tag not in has]
        added += [f"{name}={value}" for name, value in _limits(self.limits).items() if limits.get(name) != value]
        return Change("~", f"{self.label}: with {', '.join(added)}") if added else None

    def entry(self, present: Any) -> dict[str, Any]:
        entry = super().entry(present) | {"tags": _tags(self.tags), "limits": _limits(self.limits)}
        if present is not None:
            entry["password_hash"] = present.password_hash
            entry["hashing_algorithm"] = present.hashing_algorithm
            entry["tags"] = list(dict.fromkeys([*_tags(present.tags), *_tags(self.tags)]))
            entry["limits"] = _limits(present.limits) | _limits(self.limits)
            entry.pop("password", None)
        elif self.password is not None:
            del entry["hashing_algorithm"]
            entry.pop("password_hash", None)
        return entry

    def _has_password(self, present: User) -> bool:
        known = present.password_hash or ""
        if self.password is None:
            return hmac.compare_digest(known.encode(), (self.password_hash or "").encode())
        name, raw = _HASHES.get(present.hashing_algorithm), _decoded(known)
        if name is None or raw is None or len(raw) <= _SALT:
            return False
        return hmac.compare_digest(raw[_SALT:], hashlib.new(name, raw[:_SALT] + self.password.encode()).digest())


class Permissions(Resource, frozen=True):
    """What a user may do in a virtual host."""

    section, key, called = "permissions", ("vhost", "user"), "permissions of {user} in {vhost}"

    user: str
    configure: str
    write: str
    read: str
    vhost: str = ""


class TopicPermissions(Resource, frozen=True):
    """Which routing keys a user may use with a topic exchange."""

    section, key = "topic_permissions", ("vhost", "user", "exchange")
    called = "topic permissions of {user} on {exchange} in {vhost}"

    user: str
    exchange: str
    write: str
    read: str
    vhost: str = ""


class Policy(Resource, frozen=True):
    """A policy, which sets optional arguments of all queues or exchanges that its pattern matches."""

    section, key, called = "policies", ("vhost", "name"), "policy {name} in {vhost}"

    name: str
    pattern: str
    definition: dict[str, Any]
    apply_to: str = msgspec.field(default="all", name="apply-to")
    priority: int = 0
    vhost: str = ""

    def properties(self) -> dict[str, Any]:
        return {"pattern": self.pattern, "apply-to": self.apply_to, "priority": self.priority, **self.definition}


class Parameter(Resource, frozen=True):
    """A runtime parameter of a component, such as a shovel. Its value may hold passwords and is never shown."""

    section, key = "parameters", ("component", "vhost", "name")
    called = "parameter {component} {name} in {vhost}"
    shown = False

    component: str
    name: str
    value: Any
    vhost: str = ""


class GlobalParameter(Resource, frozen=True):
    """A runtime parameter of the whole broker. Its value is never shown."""

    section, called = "global_parameters", "global parameter {name}"
    shown = False

    name: str
    value: Any


KINDS: Sequence[type[Resource]] = (
    VirtualHost,
    User,
    Permissions,
    TopicPermissions,
    Parameter,
    GlobalParameter,
    Policy,
)
"""In the order in which RabbitMQ imports them."""


def compare(
    resources: Iterable[Resource], document: Mapping[str, Any]
) -> tuple[list[Change], dict[str, list[dict[str, Any]]], list[str]]:
    """Compare resources with the response to `GET /api/definitions`.

    Returns:
        The changes, the definitions to import for them, and the conflicts.
    """

    def identity(resource: Resource) -> tuple[str, ...]:
        return resource.section, *(str(getattr(resource, name)) for name in resource.key)

    entries = [msgspec.convert(entry, shape) for shape in KINDS for entry in document.get(shape.section) or []]
    present = {identity(known): known for known in entries}
    changes: list[Change] = []
    definitions: dict[str, list[dict[str, Any]]] = {}
    conflicts: list[str] = []
    for resource in resources:
        there = present.get(identity(resource))
        change = resource.change(there)
        if isinstance(change, str):
            conflicts.append(change)
        elif change is not None:
            changes.append(change)
            definitions.setdefault(resource.section, []).append(resource.entry(there))
    return changes, definitions, conflicts


def _tags(tags: Sequence[str] | str) -> list[str]:
    """Return tags as a list: brokers before 3.9 separate them with commas."""
    return [tag.strip() for tag in (tags.split(",") if isinstance(tags, str) else tags) if tag.strip()]


def _limits(limits: dict[str, int] | list[Any] | None) -> dict[str, int]:
    """Return limits as a mapping: some brokers write an empty one as a list."""
    return limits if isinstance(limits, dict) else {}


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
