"""Compares a topology with the broker, through the management API or by passive declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from inithold.errors import Rejected, StepFailed
from inithold.steps.address import Address
from inithold.steps.base import Change, StepContext
from inithold.steps.rabbitmq.arguments import difference, same
from inithold.steps.rabbitmq.definitions import Definitions
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed, Queue, distinct

if TYPE_CHECKING:
    from inithold.steps.rabbitmq.management import Management

_CLASSIC = "classic"


class Comparison(NamedTuple):
    """The differences between what a step wants and what the broker has.

    Attributes:
        missing: exchanges, queues and bindings that do not exist.
        unverified: those that could not be compared: exchanges and queues that exist, bindings that may.
        resources: changes to make through the management API.
        definitions: the same in the format of the API.
    """

    missing: Sequence[Placed] = ()
    unverified: Sequence[Placed] = ()
    resources: Sequence[Change] = ()
    definitions: Mapping[str, Any] = {}

    def changes(self) -> Iterator[Change]:
        """Yield the result of `check`."""
        yield from self.resources
        for placed in self.missing:
            yield Change("+", placed.label, placed.details)
        for placed in self.unverified:
            what = placed.label if isinstance(placed.item, Binding) else f"properties of {placed.label}"
            yield Change("?", what)


def through_management(api: Management, desired: Definitions) -> Comparison:
    """Compare everything, including properties, arguments and bindings.

    Raises:
        StepFailed: something exists with other properties.
    """
    missing: list[Placed] = []
    resources: list[Change] = []
    definitions: dict[str, list[dict[str, Any]]] = {}
    conflicts: list[str] = []
    if desired.resources:
        from inithold.steps.rabbitmq.resources import compare  # noqa: PLC0415 - most plans have none

        resources, definitions, conflicts = compare(desired.resources, api.get("definitions") or {})
    default_types: dict[str, str] | None = None
    for placed in distinct(desired.objects):
        host, item = placed.virtual_host, placed.item
        if isinstance(item, Binding):
            kind = "e" if item.queue is None else "q"
            bound = api.get("bindings", host, "e", item.exchange, kind, item.destination) or []
            if not any(
                each.get("routing_key") == item.routing_key and same(each.get("arguments") or {}, item.sent())
                for each in bound
            ):
                missing.append(placed)
            continue
        present = _present(api, host, item)
        if present is None:
            missing.append(placed)
            continue
        properties = item.properties()
        if "type" not in properties:
            if present["type"] != _CLASSIC and default_types is None:
                hosts = api.get("vhosts", query={"columns": "name,default_queue_type"}) or []
                default_types = {each["name"]: each.get("default_queue_type") for each in hosts}
            default = (default_types or {}).get(host) if present["type"] != _CLASSIC else None
            properties = {"type": _CLASSIC if default in (None, "", "undefined") else default} | properties
        if sides := difference(present, properties):
            conflicts.append(f"{placed.label} exists with {sides[0]}; the plan wants {sides[1]}")
    refuse(conflicts)
    return Comparison(missing, (), resources, definitions)


def through_amqp(address: Address, context: StepContext, desired: Definitions) -> Comparison:
    """Find out what exists; AMQP cannot show properties and bindings, so these stay unverified.

    Raises:
        StepFailed: something exists with other properties.
    """
    from inithold.steps.rabbitmq.broker import Refused, brokers  # noqa: PLC0415 - heavy
    from inithold.steps.rabbitmq.verdicts import ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED  # noqa: PLC0415 - heavy

    missing: list[Placed] = []
    unverified: list[Placed] = []
    conflicts: list[str] = []
    absent: set[tuple[str, str]] = set()
    with brokers(address, context) as broker:
        for placed in distinct(desired.objects):
            host, item = placed.virtual_host, placed.item
            if isinstance(item, Binding):
                # A binding of something that does not exist is certainly missing.
                (missing if absent & {(host, end) for end in item.ends} else unverified).append(placed)
                continue
            try:
                broker(host).declare(item, passive=True)
                unverified.append(placed)
            except Refused as refused:
                if refused.code == NOT_FOUND:
                    absent.add((host, item.label))
                    missing.append(placed)
                elif refused.code == RESOURCE_LOCKED:
                    other = "exists and is exclusive to another connection; the plan wants it shared"
                    conflicts.append(f"{placed.label} {other}")
                else:
                    raise (Rejected if refused.code == ACCESS_REFUSED else StepFailed)(
                        f"{address.shown}: the broker refuses to look at {placed.label}: {refused.words}",
                        hint="to look, the user needs configure, write or read on it",
                    ) from refused
    refuse(conflicts)
    return Comparison(missing, unverified)


def refuse(conflicts: Sequence[str]) -> None:
    """Raise `StepFailed` if there are conflicts, each a line that shows both sides."""
    if not conflicts:
        return
    message = conflicts[0]
    if len(conflicts) > 1:
        lines = "".join(f"\n  {line}" for line in conflicts)
        message = f"{len(conflicts)} things exist and are not what the plan wants:{lines}"
    if all(line.startswith("user ") for line in conflicts):
        hint = "change it by hand (rabbitmqctl change_password), or take the user out of the definitions"
    else:
        hint = "inithold never deletes: make the plan agree, use another name, or delete by hand what may go"
    raise StepFailed(message, hint=hint)


def _present(api: Management, host: str, item: Exchange | Queue) -> dict[str, Any] | None:
    """Return the properties of the existing object of this name, or None."""
    if isinstance(item, Exchange):
        answer = api.get("exchanges", host, item.name)
    else:
        columns = "name,durable,auto_delete,exclusive,arguments,type"
        answer = api.get("queues", host, item.name, query={"columns": columns, "disable_stats": "true"})
    if answer is None:
        return None
    fields = {name: answer[name] for name in type(item).__struct_fields__ if answer.get(name) is not None}
    if isinstance(item, Queue):
        fields.setdefault("type", _CLASSIC)
    return type(item)(**fields).properties()
