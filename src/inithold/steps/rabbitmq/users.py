"""Virtual hosts, users and what they may do.

Nobody is let in who was not: the password of a user that exists is never changed. Tags are added, not taken away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inithold.redaction.redact import SECRETS
from inithold.steps.base import Change
from inithold.steps.rabbitmq.management import Management
from inithold.steps.rabbitmq.objects import difference
from inithold.steps.rabbitmq.resource import Conflict, Resource

_HASHES = {
    "rabbit_password_hashing_sha256": "sha256",
    "rabbit_password_hashing_sha512": "sha512",
    "rabbit_password_hashing_md5": "md5",
}
_SALT = 4
"""Bytes of salt that stand before the digest in a password hash of RabbitMQ."""


class VirtualHost(Resource, frozen=True):
    """A virtual host; one that exists is left as it is."""

    section = "vhosts"

    name: str
    description: str | None = None
    tags: list[str] | str | None = None
    default_queue_type: str | None = None
    metadata: dict[str, Any] | None = None

    def place(self, virtual_host: str) -> Resource:  # noqa: ARG002 - the interface's
        return self

    @property
    def label(self) -> str:
        return f"virtual host {self.name}"

    def path(self) -> tuple[str, ...]:
        return ("vhosts", self.name)

    def body(self) -> dict[str, Any]:
        tags = None if self.tags is None else ",".join(_tags(self.tags))
        kind = self.default_queue_type or (self.metadata or {}).get("default_queue_type")
        asked = {
            "description": self.description,
            "tags": tags,
            "default_queue_type": kind,
            # What RabbitMQ 3.10 and 3.11 call it in their API.
            "defaultqueuetype": kind,
        }
        return {name: value for name, value in asked.items() if value and value != "undefined"}

    def compared(self, body: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - the interface's
        return {}

    def details(self) -> tuple[str, ...]:
        return ()


class User(Resource, frozen=True):
    """A user, with a password or the salted hash of one."""

    section = "users"

    name: str
    password_hash: str | None = None
    hashing_algorithm: str = "rabbit_password_hashing_sha256"
    password: str | None = None
    tags: list[str] | str = ""
    limits: dict[str, int] | list[Any] | None = None

    def place(self, virtual_host: str) -> Resource:  # noqa: ARG002 - the interface's
        return self

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

    @property
    def label(self) -> str:
        return f"user {self.name}"

    def path(self) -> tuple[str, ...]:
        return ("users", self.name)

    def body(self) -> dict[str, Any]:
        tags = ",".join(_tags(self.tags))
        if self.password is not None:
            return {"password": self.password, "tags": tags}
        return {"password_hash": self.password_hash, "hashing_algorithm": self.hashing_algorithm, "tags": tags}

    def survey(self, api: Management) -> Change | None:
        seen = api.get(*self.path())
        if seen is None:
            tags = ", ".join(_tags(self.tags))
            return Change("+", self.label, (f"tags {tags}",) if tags else ())
        if not self._has_password(seen):
            raise Conflict(
                f"{self.label} exists with another password hash than the plan's; "
                "the password of a user that exists is never changed"
            )
        added, limits = self._missing(seen)
        wanted = [f"tag {tag}" for tag in added] + [f"{name}={value}" for name, value in limits.items()]
        return Change("~", f"{self.label}: with {', '.join(wanted)}") if wanted else None

    def make(self, api: Management) -> None:
        seen = api.get(*self.path())
        body = self.body()
        if seen is not None:
            kept = {
                name: seen[name] for name in ("password_hash", "hashing_algorithm") if seen.get(name) is not None
            }
            body = {**kept, "tags": ",".join(dict.fromkeys([*_tags(seen.get("tags", [])), *_tags(self.tags)]))}
        if seen is None or self._missing(seen)[0]:
            api.send(self.path(), body)
        for name, value in self._missing(seen or {})[1].items():
            api.send(("user-limits", self.name, name), {"value": value})

    def _missing(self, seen: Mapping[str, Any]) -> tuple[list[str], dict[str, int]]:
        """The tags that are to be added, and the limits that are to be set."""
        has = _tags(seen.get("tags", []))
        now = seen.get("limits") or {}
        limits = self.limits if isinstance(self.limits, dict) else {}
        return (
            [tag for tag in _tags(self.tags) if tag not in has],
            {name: value for name, value in limits.items() if now.get(name) != value},
        )

    def _has_password(self, seen: Mapping[str, Any]) -> bool:
        present = str(seen.get("password_hash") or "")
        if self.password is None:
            return hmac.compare_digest(present.encode(), (self.password_hash or "").encode())
        name = _HASHES.get(str(seen.get("hashing_algorithm") or "rabbit_password_hashing_sha256"))
        known = _decoded(present)
        if name is None or known is None or len(known) <= _SALT:
            return False
        digest = hashlib.new(name, known[:_SALT] + self.password.encode()).digest()
        return hmac.compare_digest(known[_SALT:], digest)


class Permissions(Resource, frozen=True):
    """What a user may do in a virtual host."""

    section = "permissions"

    user: str
    configure: str
    write: str
    read: str
    vhost: str = ""

    @property
    def label(self) -> str:
        return f"permissions of {self.user} in {self.vhost}"

    def path(self) -> tuple[str, ...]:
        return ("permissions", self.vhost, self.user)

    def body(self) -> dict[str, Any]:
        return {"configure": self.configure, "write": self.write, "read": self.read}


class TopicPermissions(Resource, frozen=True):
    """Which routing keys a user may use with a topic exchange."""

    section = "topic_permissions"

    user: str
    exchange: str
    write: str
    read: str
    vhost: str = ""

    @property
    def label(self) -> str:
        return f"topic permissions of {self.user} on {self.exchange} in {self.vhost}"

    def path(self) -> tuple[str, ...]:
        return ("topic-permissions", self.vhost, self.user)

    def body(self) -> dict[str, Any]:
        return {"exchange": self.exchange, "write": self.write, "read": self.read}

    def survey(self, api: Management) -> Change | None:
        # The API has one list a user, with an entry an exchange.
        entries = api.get(*self.path()) or []
        seen = next((entry for entry in entries if entry.get("exchange") == self.exchange), None)
        if seen is None:
            return Change("+", self.label, self.details())
        sides = difference(self.compared(seen), self.compared(self.body()))
        return Change("~", f"{self.label}: {sides[0]} -> {sides[1]}") if sides else None


def _tags(tags: Sequence[str] | str) -> list[str]:
    """Tags as a list: brokers before 3.9 write them with commas."""
    return [tag.strip() for tag in (tags.split(",") if isinstance(tags, str) else tags) if tag.strip()]


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None
