"""Exchanges, queues and bindings: their fields in a plan, and the validation of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from inithold.steps.rabbitmq import arguments as of_arguments
from inithold.steps.rabbitmq.arguments import difference, listed, sent, shown
from inithold.text.suggest import did_you_mean

QueueType = Literal["classic", "quorum", "stream"]
_EXCHANGE_TYPES = ("direct", "topic", "fanout", "headers")
_QUEUE_TYPES = ("classic", "quorum", "stream")
_USUAL = {"durable": True, "auto_delete": False, "internal": False, "exclusive": False}
_LONGEST = 255
"""Maximum bytes of a name or routing key: AMQP sends the length in one byte."""
_BREAK = re.compile(r"[\r\n\0]")
Fault = tuple[str, str]
"""The field (empty for the object itself), and what is wrong with it."""


class _Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    arguments: dict[str, Any] = {}

    def sent(self) -> dict[str, Any]:
        """The arguments as the broker gets them."""
        return sent(self.arguments)

    def faults(self) -> Iterator[Fault]:
        """Yield what is wrong with it by itself."""
        yield from (("arguments", message) for message in of_arguments.faults(self.arguments))


class Exchange(_Declared, frozen=True):
    """An exchange.

    Args:
        name: up to 255 bytes, not `amq.*`.
        type: `direct`, `topic`, `fanout`, `headers`, or a plug-in's `x-...`.
        durable: whether it survives a restart of the broker.
        auto_delete: whether it is deleted with its last binding.
        internal: whether it accepts messages only from other exchanges.
        arguments: such as `alternate-exchange`.
    """

    name: str
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False

    @property
    def label(self) -> str:
        """Its name in changes and messages."""
        return f"exchange {self.name}"

    def properties(self) -> dict[str, Any]:
        """Everything in which two exchanges of the same name can differ."""
        return {name: getattr(self, name) for name in ("type", "durable", "auto_delete", "internal")} | self.sent()

    def faults(self) -> Iterator[Fault]:
        if self.name == "":
            yield "name", "the default exchange is always there: leave it out"
        yield from _name(self.name)
        if self.type not in _EXCHANGE_TYPES and not self.type.startswith("x-"):
            known = did_you_mean(self.type, _EXCHANGE_TYPES)
            known = known or f"; known are {', '.join(_EXCHANGE_TYPES)}, and x-... of a plug-in"
            yield "type", f"unknown type {self.type!r}{known}"
        yield from super().faults()


class Queue(_Declared, frozen=True):
    """A queue.

    Args:
        name: up to 255 bytes, not `amq.*` and not empty.
        durable: whether it survives a restart of the broker.
        exclusive: must be false; an exclusive queue is deleted with the connection that declares it.
        auto_delete: whether it is deleted with its last consumer.
        type: `classic`, `quorum` or `stream`; short for the argument `x-queue-type`. The virtual host's default if
            absent.
        arguments: such as `x-message-ttl`, in RabbitMQ's units (milliseconds, bytes).
    """

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    type: QueueType | None = None

    @property
    def label(self) -> str:
        """Its name in changes and messages."""
        return f"queue {self.name}"

    def sent(self) -> dict[str, Any]:
        return super().sent() | ({"x-queue-type": self.type} if self.type else {})

    def properties(self) -> dict[str, Any]:
        """Everything in which two queues of the same name can differ; the type always as the argument."""
        arguments = self.sent()
        kind = arguments.pop("x-queue-type", None)
        flags = {name: getattr(self, name) for name in ("durable", "auto_delete", "exclusive")}
        return ({"type": kind} if kind else {}) | flags | arguments

    def faults(self) -> Iterator[Fault]:
        if self.name == "":
            yield "name", "a queue that the broker names is new in each run: give it a name"
        yield from _name(self.name)
        if self.exclusive:
            yield (
                "exclusive",
                "an exclusive queue ends with the connection that declares it: leave it to its service",
            )
        given = self.arguments.get("x-queue-type")
        if self.type and given not in (None, self.type):
            yield "type", f"type {self.type} and x-queue-type {shown(given)} contradict one another"
        elif given is not None and given not in _QUEUE_TYPES:
            yield "arguments", f"x-queue-type: expected {' or '.join(_QUEUE_TYPES)}, got {shown(given)}"
        kind = self.type or given
        if kind in ("quorum", "stream") and not self.durable:
            yield "durable", f"a {kind} queue is always durable"
        if kind in ("quorum", "stream") and self.auto_delete:
            yield "auto_delete", f"a {kind} queue cannot be auto-deleted"
        yield from super().faults()


class Binding(_Declared, frozen=True):
    """A binding of an exchange to a queue or to another exchange.

    Args:
        exchange: source exchange; a built-in one (`amq.topic`) works too.
        queue: destination queue; or:
        destination_exchange: destination exchange.
        routing_key: which messages to route; its meaning depends on the type of the exchange.
        arguments: for `headers` exchanges, `x-match` and the headers.
    """

    exchange: str
    queue: str | None = None
    destination_exchange: str | None = None
    routing_key: str = ""

    @property
    def label(self) -> str:
        """Its name in changes and messages: `binding game_events -> bot_events (game.*)`."""
        kind = "exchange " if self.queue is None else ""
        which = ", ".join(part for part in (self.routing_key, listed(self.sent())) if part)
        return f"binding {self.exchange} -> {kind}{self.destination}{f' ({which})' if which else ''}"

    @property
    def destination(self) -> str:
        """The name of the queue or exchange that messages go to."""
        return (self.queue if self.queue is not None else self.destination_exchange) or ""

    @property
    def ends(self) -> set[str]:
        """The labels of its source and destination."""
        kind = "exchange" if self.queue is None else "queue"
        return {f"exchange {self.exchange}", f"{kind} {self.destination}"}

    def faults(self) -> Iterator[Fault]:
        if (self.queue is None) == (self.destination_exchange is None):
            given = "both" if self.queue is not None else "neither"
            yield "", f"expected queue or destination_exchange, got {given}"
        elif self.queue == "":
            yield "queue", "the queue needs a name"
        elif self.destination_exchange == "":
            yield "destination_exchange", "nothing can be bound to the default exchange"
        if self.exchange == "":
            yield (
                "exchange",
                "every queue is bound to the default exchange by its name already: leave the binding out",
            )
        for field in ("exchange", "queue", "destination_exchange", "routing_key"):
            yield from _text(field, getattr(self, field) or "")
        yield from super().faults()


Item: TypeAlias = Exchange | Queue | Binding


class Placed(NamedTuple):
    """An object in its virtual host; the suffix names that if it is not the one of the step's URL."""

    virtual_host: str
    item: Item
    suffix: str = ""

    @property
    def label(self) -> str:
        """Its name in messages: `queue orders in /shop`."""
        return f"{self.item.label}{self.suffix}"

    @property
    def details(self) -> tuple[str, ...]:
        """The properties shown below the label."""
        properties = {} if isinstance(self.item, Binding) else self.item.properties()
        unusual = {name: value for name, value in properties.items() if _USUAL.get(name, ...) is not value}
        return (listed(unusual),) if unusual else ()


def distinct(objects: Iterable[Placed]) -> list[Placed]:
    """Remove duplicates, and sort: in each virtual host exchanges first, then queues, then bindings."""
    once: dict[tuple[str, str], Placed] = {}
    for placed in objects:
        which = repr(placed.item) if isinstance(placed.item, Binding) else placed.label
        once.setdefault((placed.virtual_host, which), placed)
    order = (Exchange, Queue, Binding)
    return sorted(once.values(), key=lambda placed: order.index(type(placed.item)))


def contradictions(objects: Iterable[Placed]) -> Iterator[tuple[int, str]]:
    """Yield objects that are declared twice with different properties, as (index of the second, message)."""
    first: dict[str, Exchange | Queue] = {}
    for index, placed in enumerate(objects):
        if not isinstance(placed.item, Binding):
            earlier = first.setdefault(placed.label, placed.item)
            if sides := difference(earlier.properties(), placed.item.properties()):
                yield index, f"{placed.label} is declared twice: with {sides[0]} and with {sides[1]}"


def _name(name: str) -> Iterator[Fault]:
    yield from _text("name", name)
    if name.startswith("amq."):
        yield "name", f"{name}: names that start with amq. are the broker's own; bindings may use them as they are"


def _text(field: str, text: str) -> Iterator[Fault]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > _LONGEST:
        yield field, f"is {size} bytes long; RabbitMQ takes up to {_LONGEST}"
    # The broker strips line breaks, so that the object would get another name.
    if field != "routing_key" and _BREAK.search(text):
        yield field, "has a line break or NUL in it"
