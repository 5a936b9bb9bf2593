"""What is wrong with the exchanges, queues and bindings of a plan, found without asking a broker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from inithold.steps.rabbitmq import arguments
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed, Queue, difference
from inithold.text.suggest import did_you_mean

TYPES = ("direct", "topic", "fanout", "headers")
QUEUE_TYPES = ("classic", "quorum", "stream")
LONGEST = 255
"""Bytes of a name or a routing key: AMQP sends its length in one byte."""
_BREAK = re.compile(r"[\r\n\0]")
Fault = tuple[str, str]
"""The field, or nothing for the object itself, and what is wrong with it."""


class Unreadable(Exception):
    """The definitions file cannot be read or is not definitions; the message says why."""


def faults(item: Exchange | Queue | Binding) -> Iterator[Fault]:
    """Yield what is wrong with an object by itself."""
    match item:
        case Exchange():
            yield from _exchange(item)
        case Queue():
            yield from _queue(item)
        case Binding():
            yield from _binding(item)
    for name, message in arguments.faults(item.arguments):
        yield "arguments", f"{name}: {message}"


def contradictions(placed: Iterable[Placed]) -> Iterator[tuple[int, str]]:
    """Yield what is declared twice and differs, as (index of the second, message)."""
    first: dict[str, Exchange | Queue] = {}
    for index, object_ in enumerate(placed):
        item = object_.item
        if isinstance(item, Binding):
            continue
        earlier = first.setdefault(object_.label, item)
        sides = difference(earlier.properties(), item.properties())
        if sides:
            yield index, f"{object_.label} is declared twice: with {sides[0]} and with {sides[1]}"


def _exchange(exchange: Exchange) -> Iterator[Fault]:
    if exchange.name == "":
        yield "name", "the default exchange is always there: leave it out"
    else:
        yield from _name(exchange.name)
    if exchange.type not in TYPES and not exchange.type.startswith("x-"):
        known = did_you_mean(exchange.type, TYPES) or f"; known are {', '.join(TYPES)}, and x-... of a plug-in"
        yield "type", f"unknown type {exchange.type!r}{known}"


def _queue(queue: Queue) -> Iterator[Fault]:
    if queue.name == "":
        yield "name", "a queue that the broker names is new in each run: give it a name"
    else:
        yield from _name(queue.name)
    if queue.exclusive:
        yield "exclusive", "an exclusive queue ends with the connection that declares it: leave it to its service"
    given = queue.arguments.get("x-queue-type")
    if queue.type and given not in (None, queue.type):
        yield "type", f"type {queue.type} and x-queue-type {arguments.spelled(given)} contradict one another"
    elif given is not None and given not in QUEUE_TYPES:
        yield "arguments", f"x-queue-type: expected {' or '.join(QUEUE_TYPES)}, got {arguments.spelled(given)}"
    if queue.explicit_type in ("quorum", "stream"):
        if not queue.durable:
            yield "durable", f"a {queue.explicit_type} queue is always durable"
        if queue.auto_delete:
            yield "auto_delete", f"a {queue.explicit_type} queue cannot be auto-deleted"


def _binding(binding: Binding) -> Iterator[Fault]:
    if (binding.queue is None) == (binding.destination_exchange is None):
        given = "both" if binding.queue is not None else "neither"
        yield "", f"expected queue or destination_exchange, got {given}"
    elif binding.queue == "":
        yield "queue", "the queue needs a name"
    elif binding.destination_exchange == "":
        yield "destination_exchange", "nothing can be bound to the default exchange"
    if binding.exchange == "":
        yield "exchange", "every queue is bound to the default exchange by its name already: leave the binding out"
    ends = {
        "exchange": binding.exchange,
        "queue": binding.queue,
        "destination_exchange": binding.destination_exchange,
        "routing_key": binding.routing_key,
    }
    for field, text in ends.items():
        yield from _text(field, text or "")


def _name(name: str) -> Iterator[Fault]:
    yield from _text("name", name)
    if name.startswith("amq."):
        yield "name", f"{name}: names that start with amq. are the broker's own; bindings may use them as they are"


def _text(field: str, text: str) -> Iterator[Fault]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LONGEST:
        yield field, f"is {size} bytes long; RabbitMQ takes up to {LONGEST}"
    # The broker strips line breaks, and then has another name than was asked for.
    if field != "routing_key" and _BREAK.search(text):
        yield field, "has a line break or NUL in it"
