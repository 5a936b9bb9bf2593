"""What only the management API can make, compared by a GET and made or replaced by a PUT; nothing is deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from inithold.steps.base import Change
from inithold.steps.rabbitmq.arguments import listed
from inithold.steps.rabbitmq.management import Management
from inithold.steps.rabbitmq.objects import difference


class Conflict(Exception):
    """Something exists and is not what the plan wants; it is not changed. The message names both sides."""


class Resource(msgspec.Struct, frozen=True):
    """Base of what a definitions file names beside exchanges, queues and bindings."""

    section: ClassVar[str] = ""
    """The key it stands under in the file."""

    def place(self, virtual_host: str) -> Resource:
        """The same, in this virtual host unless it names one."""
        given = getattr(self, "vhost", "")
        return self if given != "" else msgspec.structs.replace(self, vhost=virtual_host)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with it beyond its types."""
        yield from ()

    def learn_secrets(self) -> None:
        """Let nothing of it that is secret be shown."""

    @property
    def label(self) -> str:
        """What it is called in changes: `policy ha in /`."""
        raise NotImplementedError

    def path(self) -> tuple[str, ...]:
        """Where the API has it."""
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        """What it shall be, as the API takes it."""
        raise NotImplementedError

    def survey(self, api: Management) -> Change | None:
        """What has to be done about it; None where it is as it shall be.

        Raises:
            Conflict: it is there, is something else and is not to be changed.
        """
        seen = api.get(*self.path())
        if seen is None:
            return Change("+", self.label, self.details())
        sides = difference(self.compared(seen), self.compared(self.body()))
        return Change("~", f"{self.label}: {sides[0]} -> {sides[1]}") if sides else None

    def make(self, api: Management) -> None:
        """Make it, or replace what differs."""
        api.send(self.path(), self.body())

    def compared(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a body that is compared and may be shown."""
        return {name: body.get(name) for name in self.body()}

    def details(self) -> tuple[str, ...]:
        """Further lines for a new one."""
        return (listed(self.compared(self.body())),)
