"""What of a topology is there: asked through the management API, or without one by passive declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from inithold.errors import Rejected, StepFailed
from inithold.steps.address import Address
from inithold.steps.base import Change, StepContext
from inithold.steps.rabbitmq.arguments import listed, same
from inithold.steps.rabbitmq.desired import Desired
from inithold.steps.rabbitmq.management import Management
from inithold.steps.rabbitmq.objects import Binding, Declared, Exchange, Placed, difference, queue_properties

_COLUMNS = "name,durable,auto_delete,exclusive,arguments,type"
_CLASSIC = "classic"
_DELETE_YOURSELF = "inithold never deletes: make the plan agree, use another name, or delete by hand what may go"
_SET_YOURSELF = "change it by hand (rabbitmqctl change_password), or take the user out of the definitions"


class Comparison(NamedTuple):
    """How what a step asks for compares with what a broker has.

    Attributes:
        missing: exchanges, queues and bindings that are not there.
        unverified: those of which no more could be found out: exchanges and queues are there, bindings may be.
        conflicts: what is there with other properties, each a line that names both sides.
        resources: what the management API has to make.
        definitions: the same as the API takes it.
    """

    missing: tuple[Placed, ...] = ()
    unverified: tuple[Placed, ...] = ()
    conflicts: tuple[str, ...] = ()
    resources: tuple[Change, ...] = ()
    definitions: Mapping[str, Any] = {}

    def changes(self) -> Iterator[Change]:
        """The answer of `check`."""
        yield from self.resources
        for placed in self.missing:
            yield Change("+", placed.label, _details(placed))
        for placed in self.unverified:
            what = placed.label if isinstance(placed.item, Binding) else f"properties of {placed.label}"
            yield Change("?", what)


def through_management(api: Management, desired: Desired) -> Comparison:
    """Compare everything with what the broker has, properties, arguments and bindings included."""
    default = _DefaultType(api)
    missing: list[Placed] = []
    resources: list[Change] = []
    definitions: dict[str, list[dict[str, Any]]] = {}
    conflicts: list[str] = []
    if desired.resources:
        from inithold.steps.rabbitmq.resources import compare  # noqa: PLC0415 - most plans have none

        resources, definitions, conflicts = compare(desired.resources, api.get("definitions") or {})
    for placed in desired.distinct:
        item = placed.item
        if isinstance(item, Binding):
            if not _is_bound(api, placed.virtual_host, item):
                missing.append(placed)
            continue
        present = _present(api, placed.virtual_host, item)
        if present is None:
            missing.append(placed)
            continue
        properties = item.properties()
        if "type" not in properties:
            properties = {"type": default.standing_for(present["type"], placed.virtual_host), **properties}
        sides = difference(present, properties)
        if sides:
            conflicts.append(f"{placed.label} exists with {sides[0]}; the plan wants {sides[1]}")
    return Comparison(tuple(missing), (), tuple(conflicts), tuple(resources), definitions)


def through_amqp(address: Address, context: StepContext, objects: Sequence[Placed]) -> Comparison:
    """Find out what exists. Properties and bindings cannot be asked for over AMQP: they stay unverified."""
    from inithold.steps.rabbitmq.broker import Broker  # noqa: PLC0415 - heavy

    missing: list[Placed] = []
    unverified: list[Placed] = []
    conflicts: list[str] = []
    for virtual_host, group in by_virtual_host(objects):
        absent: set[str] = set()
        with Broker(address, context, virtual_host) as broker:
            for placed in group:
                item = placed.item
                if isinstance(item, Binding):
                    # What is bound to something that is not there is certainly missing.
                    (missing if absent & {*item.ends()} else unverified).append(placed)
                    continue
                there = _exists(broker, address, placed, conflicts)
                if there is None:
                    continue
                if not there:
                    absent.add(item.label)
                (unverified if there else missing).append(placed)
    return Comparison(tuple(missing), tuple(unverified), tuple(conflicts))


def by_virtual_host(objects: Iterable[Placed]) -> Iterator[tuple[str, list[Placed]]]:
    """The objects of each virtual host: exchanges first, then queues, then what binds them."""
    groups: dict[str, list[Placed]] = {}
    for placed in objects:
        groups.setdefault(placed.virtual_host, []).append(placed)
    for virtual_host, group in groups.items():
        yield virtual_host, sorted(group, key=_order)


def conflict(conflicts: Sequence[str]) -> StepFailed:
    """The failure that says everything that exists and is not what the plan wants."""
    if len(conflicts) == 1:
        message = conflicts[0]
    else:
        message = f"{len(conflicts)} things exist and are not what the plan wants:\n" + "\n".join(
            f"  {line}" for line in conflicts
        )
    return StepFailed(message, hint=_SET_YOURSELF if all(map(_is_user, conflicts)) else _DELETE_YOURSELF)


def _is_user(line: str) -> bool:
    return line.startswith("user ")


class _DefaultType:
    """The default queue types of virtual hosts, asked for only where it matters."""

    def __init__(self, api: Management) -> None:
        self._api = api
        self._known: dict[str, str] | None = None

    def standing_for(self, present: str, virtual_host: str) -> str:
        """The type to compare a queue that names none with, where one of the type `present` is there."""
        if present == _CLASSIC:
            return _CLASSIC
        if self._known is None:
            hosts = self._api.get("vhosts", query={"columns": "name,default_queue_type"}) or []
            self._known = {host["name"]: host.get("default_queue_type") or _CLASSIC for host in hosts}
        kind = self._known.get(virtual_host, _CLASSIC)
        return _CLASSIC if kind == "undefined" else kind


def _present(api: Management, virtual_host: str, item: Declared) -> dict[str, Any] | None:
    """The properties of what is there under the name of an object; None where nothing is."""
    if isinstance(item, Exchange):
        answer = api.get("exchanges", virtual_host, item.name)
        if answer is None:
            return None
        named = {name: answer.get(name) for name in ("type", "durable", "auto_delete", "internal")}
        return {**named, **(answer.get("arguments") or {})}
    answer = api.get("queues", virtual_host, item.name, query={"columns": _COLUMNS, "disable_stats": "true"})
    if answer is None:
        return None
    return queue_properties(
        bool(answer.get("durable")),
        bool(answer.get("auto_delete")),
        bool(answer.get("exclusive")),
        answer.get("arguments") or {},
        answer.get("type") or _CLASSIC,
    )


def _is_bound(api: Management, virtual_host: str, binding: Binding) -> bool:
    kind = "e" if binding.queue is None else "q"
    answer = api.get("bindings", virtual_host, "e", binding.exchange, kind, binding.destination) or []
    return any(
        entry.get("routing_key") == binding.routing_key and same(entry.get("arguments") or {}, binding.sent())
        for entry in answer
    )


def _exists(broker: Any, address: Address, placed: Placed, conflicts: list[str]) -> bool | None:
    from inithold.steps.rabbitmq.broker import Refused  # noqa: PLC0415 - heavy
    from inithold.steps.rabbitmq.verdicts import ACCESS_REFUSED, RESOURCE_LOCKED  # noqa: PLC0415 - heavy

    try:
        return bool(broker.exists(placed.item))
    except Refused as refused:
        if refused.code == RESOURCE_LOCKED:
            conflicts.append(
                f"{placed.label} exists and is exclusive to another connection; the plan wants it shared"
            )
            return None
        kind = Rejected if refused.code == ACCESS_REFUSED else StepFailed
        raise kind(
            f"{address.shown}: the broker refuses to look at {placed.label}: {refused.words}",
            hint="to look, the user needs configure, write or read on it",
        ) from refused


def _order(placed: Placed) -> int:
    return 2 if isinstance(placed.item, Binding) else 0 if isinstance(placed.item, Exchange) else 1


def _details(placed: Placed) -> tuple[str, ...]:
    notable = {} if isinstance(placed.item, Binding) else placed.item.notable()
    return (listed(notable),) if notable else ()
