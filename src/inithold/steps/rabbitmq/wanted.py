"""Everything a topology step wants: the lists of the plan and the definitions file, together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from inithold.steps.rabbitmq import faults
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed, Queue

if TYPE_CHECKING:
    from inithold.steps.rabbitmq.resource import Resource


class Unreadable(Exception):
    """The definitions file cannot be read or is not definitions; the message says why."""


class Wanted(NamedTuple):
    """What a broker must have.

    Attributes:
        objects: exchanges, queues and bindings, as often as they are named; the plan's own first.
        resources: what only the management API can make, in the order in which it is made.
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


def wanted_of(items: Iterable[Exchange | Queue | Binding], definitions: str | None, virtual_host: str) -> Wanted:
    """Put together what a step wants.

    Args:
        items: of the plan.
        definitions: path of a definitions file.
        virtual_host: of the step's URL.

    Raises:
        Unreadable: the file cannot be read or is not definitions.
    """
    own = tuple(Placed(virtual_host, item) for item in items)
    if definitions is None:
        return Wanted(own)
    from inithold.steps.rabbitmq.definitions import read  # noqa: PLC0415 - most plans have none

    defined = read(definitions, virtual_host)
    wrong = [*defined.faults, *_faults(defined.objects), *_resource_faults(defined.resources)]
    return Wanted((*own, *defined.objects), defined.resources, tuple(wrong))


def _faults(objects: Sequence[Placed]) -> Iterator[str]:
    for placed in objects:
        for field, message in faults.of(placed.item):
            yield f"{placed.label}: {field}: {message}" if field else f"{placed.label}: {message}"


def _resource_faults(resources: Sequence[Resource]) -> Iterator[str]:
    for resource in resources:
        yield from resource.faults()
