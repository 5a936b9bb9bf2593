"""Everything a topology step asks for: the lists of the plan and the definitions file, together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from inithold.steps.rabbitmq import validation
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed, Queue

if TYPE_CHECKING:
    from inithold.steps.rabbitmq.resources import Resource


class Desired(NamedTuple):
    """What a broker must have.

    Attributes:
        objects: exchanges, queues and bindings, as often as they are named; the plan's own first.
        resources: what only the management API can make.
        faults: what is wrong with the definitions file's entries.
    """

    objects: tuple[Placed, ...]
    resources: tuple[Resource, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def distinct(self) -> tuple[Placed, ...]:
        """The objects, each once."""
        return tuple({placed.identity: placed for placed in reversed(self.objects)}.values())[::-1]

    @property
    def sections(self) -> list[str]:
        """The sections of the definitions file that need the management API."""
        return list(dict.fromkeys(resource.section for resource in self.resources))


def desired_state(
    items: Iterable[Exchange | Queue | Binding], definitions: str | None, virtual_host: str
) -> Desired:
    """Put together what a step asks for.

    Args:
        items: of the plan.
        definitions: path of a definitions file.
        virtual_host: of the step's URL.

    Raises:
        Unreadable: the file cannot be read or is not definitions.
    """
    own = tuple(Placed(virtual_host, item) for item in items)
    if definitions is None:
        return Desired(own)
    from inithold.steps.rabbitmq.definitions import read  # noqa: PLC0415 - most plans have none

    defined = read(definitions, virtual_host)
    faults = list(defined.faults)
    for placed in defined.objects:
        for field, message in validation.faults(placed.item):
            faults.append(f"{placed.label}: {field}: {message}" if field else f"{placed.label}: {message}")
    faults += [message for resource in defined.resources for message in resource.faults()]
    return Desired((*own, *defined.objects), defined.resources, tuple(faults))
