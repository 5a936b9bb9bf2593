"""Exchanges, queues and bindings: the fields a plan gives them, and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from inithold.steps.rabbitmq.arguments import listed, same, sent

QueueType = Literal["classic", "quorum", "stream"]


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An exchange.

    Args:
        name: up to 255 bytes, not `amq.*`.
        type: `direct`, `topic`, `fanout`, `headers`, or a plug-in's `x-...`.
        durable: survives a restart of the broker.
        auto_delete: goes when its last binding goes.
        internal: takes messages from other exchanges only.
        arguments: such as `alternate-exchange`.
    """

    name: str
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """What it is called in changes and messages."""
        return f"exchange {self.name}"

    def sent(self) -> dict[str, Any]:
        """The arguments as the broker gets them."""
        return sent(self.arguments)

    def properties(self) -> dict[str, Any]:
        """Everything two exchanges of one name can differ in."""
        return {
            "type": self.type,
            "durable": self.durable,
            "auto_delete": self.auto_delete,
            "internal": self.internal,
            **self.sent(),
        }

    def notable(self) -> dict[str, Any]:
        """The properties worth a line beside the name."""
        usual = {"durable": True, "auto_delete": False, "internal": False}
        return {name: value for name, value in self.properties().items() if usual.get(name, ...) is not value}


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A queue.

    Args:
        name: up to 255 bytes, not `amq.*` and not empty.
        durable: survives a restart of the broker.
        exclusive: must be false; an exclusive queue ends with the connection that declares it.
        auto_delete: goes when its last consumer goes.
        type: `classic`, `quorum` or `stream`; short for the argument `x-queue-type`. The virtual host's own
            default if absent.
        arguments: such as `x-message-ttl`, in the units RabbitMQ has for them (milliseconds, bytes).
    """

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    type: QueueType | None = None
    arguments: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """What it is called in changes and messages."""
        return f"queue {self.name}"

    @property
    def explicit_type(self) -> str | None:
        """The type asked for, in either place; None for the virtual host's default."""
        return self.sent().get("x-queue-type")

    def sent(self) -> dict[str, Any]:
        """The arguments as the broker gets them."""
        named = {"x-queue-type": self.type} if self.type else {}
        return {**sent(self.arguments), **named}

    def properties(self) -> dict[str, Any]:
        """Everything two queues of one name can differ in."""
        return queue_properties(self.durable, self.auto_delete, self.exclusive, self.sent())

    def notable(self) -> dict[str, Any]:
        """The properties worth a line beside the name."""
        usual = {"durable": True, "auto_delete": False, "exclusive": False}
        return {name: value for name, value in self.properties().items() if usual.get(name, ...) is not value}


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A binding of an exchange to a queue or to another exchange.

    Args:
        exchange: where messages come from; one of the broker's own (`amq.topic`) will do.
        queue: where they go; or:
        destination_exchange: the exchange they go to.
        routing_key: which messages; what it means depends on the type of the exchange.
        arguments: for `headers` exchanges: `x-match` and the headers.
    """

    exchange: str
    queue: str | None = None
    destination_exchange: str | None = None
    routing_key: str = ""
    arguments: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """What it is called in changes and messages: `binding game_events -> bot_events (game.*)`."""
        kind = "exchange " if self.queue is None else ""
        which = ", ".join(part for part in (self.routing_key, listed(self.sent())) if part)
        return f"binding {self.exchange} -> {kind}{self.destination}{f' ({which})' if which else ''}"

    @property
    def destination(self) -> str:
        """The name of the queue or exchange that messages go to."""
        return (self.queue if self.queue is not None else self.destination_exchange) or ""

    def sent(self) -> dict[str, Any]:
        """The arguments as the broker gets them."""
        return sent(self.arguments)

    def ends(self) -> tuple[str, str]:
        """The labels of what it binds."""
        kind = "exchange" if self.queue is None else "queue"
        return f"exchange {self.exchange}", f"{kind} {self.destination}"


Declared: TypeAlias = Exchange | Queue
"""What is declared by name and has properties."""


class Placed(NamedTuple):
    """An object in its virtual host.

    Attributes:
        virtual_host: the name.
        item: the object.
        suffix: what to say after its label: nothing in the virtual host of the step's own URL.
    """

    virtual_host: str
    item: Exchange | Queue | Binding
    suffix: str = ""

    @property
    def label(self) -> str:
        """What it is called: `queue orders in /shop`."""
        return f"{self.item.label}{self.suffix}"

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it another object: the name, and of a binding everything."""
        return self.virtual_host, repr(self.item) if isinstance(self.item, Binding) else self.label


def queue_properties(
    durable: bool, auto_delete: bool, exclusive: bool, arguments: Mapping[str, Any], kind: str | None = None
) -> dict[str, Any]:
    """Everything queues can differ in; the type stands under its own name wherever it was given.

    Args:
        durable: of the queue.
        auto_delete: of the queue.
        exclusive: of the queue.
        arguments: with `x-queue-type`, if that was given.
        kind: the type where the arguments do not say; left out if None.
    """
    rest = {name: value for name, value in arguments.items() if name != "x-queue-type"}
    kind = arguments.get("x-queue-type") or kind
    named = {"type": kind} if kind else {}
    return {**named, "durable": durable, "auto_delete": auto_delete, "exclusive": exclusive, **rest}


def difference(present: Mapping[str, Any], desired: Mapping[str, Any]) -> tuple[str, str] | None:
    """What two sets of properties do not agree in, each side in its own words; None where they are equal.

    Returns:
        for example `("durable=false, x-message-ttl=1000", "durable=true, no x-message-ttl")`.
    """
    names = [
        name
        for name in dict.fromkeys([*desired, *present])
        if name not in present or name not in desired or not same(present[name], desired[name])
    ]
    if not names:
        return None
    return _side(names, present), _side(names, desired)


def _side(names: list[str], properties: Mapping[str, Any]) -> str:
    return ", ".join(listed({name: properties[name]}) if name in properties else f"no {name}" for name in names)
