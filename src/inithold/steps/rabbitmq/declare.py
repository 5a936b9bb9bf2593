"""Creates what is missing over AMQP, or through the management API if pika cannot send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inithold.errors import StepFailed
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq.arguments import has_fraction, listed
from inithold.steps.rabbitmq.broker import Refused, brokers
from inithold.steps.rabbitmq.compare import Comparison, refuse
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed
from inithold.steps.rabbitmq.verdicts import ACCESS_REFUSED, COMMAND_INVALID, NOT_FOUND, PRECONDITION_FAILED

if TYPE_CHECKING:
    from inithold.steps.rabbitmq.management import Management


def declare(address: Address, context: StepContext, comparison: Comparison, api: Management | None) -> None:
    """Declare what is missing or unverified; declaring an equal object does nothing.

    Raises:
        NotYet: the connection was lost; declaring may start over.
        StepFailed: something exists with other properties, and nothing was created; or the broker refused.
    """
    through_api = [placed for placed in comparison.missing if api and has_fraction(placed.item.arguments)]
    for placed in through_api:
        if api and not isinstance(placed.item, Binding):
            api.send(*_as_resource(placed))
    unverified_bindings = [placed for placed in comparison.unverified if isinstance(placed.item, Binding)]
    missing = [placed for placed in comparison.missing if placed not in through_api] + unverified_bindings
    with brokers(address, context) as broker:
        # First let the broker compare what exists: if anything differs, nothing is created.
        conflicts: list[str] = []
        for placed in (it for it in comparison.unverified if not isinstance(it.item, Binding)):
            try:
                broker(placed.virtual_host).declare(placed.item)
            except Refused as refused:
                conflicts.append(_contradiction(placed, refused))
        refuse(conflicts)
        for placed in missing:
            try:
                broker(placed.virtual_host).declare(placed.item)
            except Refused as refused:
                refuse([_contradiction(placed, refused)])
    for placed in through_api:
        if api and isinstance(placed.item, Binding):
            api.send(*_as_resource(placed), method="POST")


def _as_resource(placed: Placed) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return path and body of an object in the management API."""
    host, item = placed.virtual_host, placed.item
    if isinstance(item, Binding):
        kind = "e" if item.queue is None else "q"
        path = ("bindings", host, "e", item.exchange, kind, item.destination)
        return path, {"routing_key": item.routing_key, "arguments": item.sent()}
    body = {"durable": item.durable, "auto_delete": item.auto_delete, "arguments": item.sent()}
    if isinstance(item, Exchange):
        return ("exchanges", host, item.name), body | {"type": item.type, "internal": item.internal}
    return ("queues", host, item.name), body


def _contradiction(placed: Placed, refused: Refused) -> str:
    """Return a line with both sides: all our properties, and the broker's message on the first difference.

    Raises:
        StepFailed: the broker refuses for another reason.
    """
    item, code = placed.item, refused.code
    if code == PRECONDITION_FAILED and "inequivalent" in refused.words and not isinstance(item, Binding):
        return (
            f"{placed.label} exists with other properties; the plan wants {listed(item.properties())}; "
            f"the broker says: {refused.words}"
        )
    hint = "correct it in the plan, as the broker's words say"
    if code == ACCESS_REFUSED and isinstance(item, Binding):
        hint = "to bind, the user needs write on where messages go and read on the exchange they come from"
    elif code == ACCESS_REFUSED:
        hint = (
            "to declare, the user needs configure on it; with a dead-letter exchange read on it and write on that"
        )
    elif code == NOT_FOUND:
        hint = "declare it in this step too, or let this step need the one that makes it"
    elif code in (COMMAND_INVALID, PRECONDITION_FAILED) and "unknown exchange type" in refused.words:
        hint = "enable the plug-in that brings this type of exchange: rabbitmq-plugins enable NAME"
    raise StepFailed(f"the broker refuses {placed.label}: {refused.words}", hint=hint) from refused
