"""Makes what is missing, over AMQP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from inithold.errors import StepFailed
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq.arguments import has_fraction, listed
from inithold.steps.rabbitmq.broker import Broker, Refused
from inithold.steps.rabbitmq.compare import Comparison, by_virtual_host, conflict
from inithold.steps.rabbitmq.management import Management
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed
from inithold.steps.rabbitmq.verdicts import ACCESS_REFUSED, COMMAND_INVALID, NOT_FOUND, PRECONDITION_FAILED


def declare(address: Address, context: StepContext, comparison: Comparison, api: Management | None) -> None:
    """Declare what is missing, and what could not be verified, which does nothing where it is equal.

    Args:
        address: of the broker.
        context: of the run.
        comparison: what is there and what is not.
        api: for what pika cannot send.

    Raises:
        NotYet: the broker was lost; declaring may begin again from the start.
        StepFailed: something exists with other properties, and nothing was made; or the broker does not want it.
    """
    bindings = [placed for placed in comparison.unverified if isinstance(placed.item, Binding)]
    through_api = (
        [] if api is None else [placed for placed in comparison.missing if has_fraction(placed.item.arguments)]
    )
    for placed in through_api:
        if api and not isinstance(placed.item, Binding):
            api.send(*_as_resource(placed))
    missing = [placed for placed in comparison.missing if placed not in through_api]
    with ExitStack() as open_resources:
        brokers: dict[str, Broker] = {}

        def broker_of(virtual_host: str) -> Broker:
            if virtual_host not in brokers:
                brokers[virtual_host] = open_resources.enter_context(Broker(address, context, virtual_host))
            return brokers[virtual_host]

        # The broker compares what exists first: where something contradicts the plan, nothing is made.
        _compare(comparison.unverified, broker_of)
        for virtual_host, group in by_virtual_host([*missing, *bindings]):
            for placed in group:
                _make(broker_of(virtual_host), placed)

    for placed in through_api:
        if api and isinstance(placed.item, Binding):
            api.send(*_as_resource(placed), method="POST")


def _as_resource(placed: Placed) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Path and body of an object in the management API."""
    host, item = placed.virtual_host, placed.item
    if isinstance(item, Binding):
        kind = "e" if item.queue is None else "q"
        path = ("bindings", host, "e", item.exchange, kind, item.destination)
        return path, {"routing_key": item.routing_key, "arguments": item.sent()}
    body = {"durable": item.durable, "auto_delete": item.auto_delete, "arguments": item.sent()}
    if isinstance(item, Exchange):
        return ("exchanges", host, item.name), body | {"type": item.type, "internal": item.internal}
    return ("queues", host, item.name), body


def _compare(there: Sequence[Placed], broker_of: Callable[[str], Broker]) -> None:
    conflicts: list[str] = []
    for virtual_host, group in by_virtual_host(there):
        for placed in group:
            if isinstance(placed.item, Binding):
                continue
            try:
                broker_of(virtual_host).declare(placed.item)
            except Refused as refused:
                conflicts.append(_contradiction(placed, refused))
    if conflicts:
        raise conflict(conflicts)


def _make(broker: Broker, placed: Placed) -> None:
    item = placed.item
    try:
        if isinstance(item, Binding):
            broker.bind(item)
        else:
            broker.declare(item)
    except Refused as refused:
        if _is_contradiction(refused):
            raise conflict([_contradiction(placed, refused)]) from refused
        raise _refused(placed, refused) from refused


def _is_contradiction(refused: Refused) -> bool:
    return refused.code == PRECONDITION_FAILED and "inequivalent" in refused.words


def _contradiction(placed: Placed, refused: Refused) -> str:
    """The line that names both sides: ours whole, the broker's in its words, which name the first difference."""
    if isinstance(placed.item, Binding) or not _is_contradiction(refused):
        raise _refused(placed, refused) from refused
    desired = listed(placed.item.properties())
    return (
        f"{placed.label} exists with other properties; the plan wants {desired}; the broker says: {refused.words}"
    )


def _refused(placed: Placed, refused: Refused) -> StepFailed:
    return StepFailed(f"the broker refuses {placed.label}: {refused.words}", hint=_hint(placed, refused))


def _hint(placed: Placed, refused: Refused) -> str:
    if refused.code == ACCESS_REFUSED and isinstance(placed.item, Binding):
        return "to bind, the user needs write on where messages go and read on the exchange they come from"
    if refused.code == ACCESS_REFUSED:
        return (
            "to declare, the user needs configure on it; with a dead-letter exchange read on it and write on that"
        )
    if refused.code == NOT_FOUND:
        return "declare it in this step too, or let this step need the one that makes it"
    if refused.code == COMMAND_INVALID and "exchange type" in refused.words:
        return "enable the plug-in that brings this type of exchange: rabbitmq-plugins enable NAME"
    return "correct it in the plan, as the broker's words say"
