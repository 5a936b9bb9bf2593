"""The services that a service cannot start without: `depends_on`, and the fields that imply a dependency.

Follows compose-go's `loader/normalize.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inithold.compose.read.tree import Scalar, Sequence, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Place
    from inithold.compose.stack.roles import Dependency, Stack

_SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")
_LISTED = ("links", "volumes_from")


@dataclass(frozen=True, slots=True)
class Tie:
    """One service needs another.

    Args:
        service: the one that needs the other.
        target: name of the other.
        field: `depends_on`, `links`, `network_mode`, ...
        place: where it is written.
        entry: the `depends_on` entry; None for other fields.
    """

    service: Service
    target: str
    field: str
    place: Place
    entry: Dependency | None = None


def ties(stack: Stack) -> dict[str, list[Tie]]:
    """Return what each service needs; a service named by two fields counts once."""
    result: dict[str, list[Tie]] = {}
    for name, service in stack.project.services.items():
        listed = [*_implied(service)]
        listed += [
            Tie(service, each.target, "depends_on", each.entry.place, each) for each in stack.dependencies[name]
        ]
        # Compose interpolates the items of a list, but not the keys of a mapping.
        known = (tie for tie in listed if "$" not in tie.target or (tie.entry and not tie.entry.short))
        result[name] = list({tie.target: tie for tie in known}.values())
    return result


def _implied(service: Service) -> Iterator[Tie]:
    for field in _SHARED:
        value = service.scalar(field)
        if value is not None and value.filled.startswith("service:"):
            yield Tie(service, value.filled.removeprefix("service:"), field, value.place)
    for field in _LISTED:
        listed = service.value(field)
        for item in listed.items if isinstance(listed, Sequence) else ():
            if isinstance(item, Scalar) and not item.filled.startswith("container:"):
                yield Tie(service, item.filled.partition(":")[0], field, item.place)


def may_be_inactive(service: Service, beside: Service) -> bool:
    """Whether `beside` can be started while the profiles of `service` leave it out."""
    own, theirs = (
        {str(name) for name in plain(listed)} if isinstance(listed := each.value("profiles"), Sequence) else set()
        for each in (service, beside)
    )
    return bool(own) and not (theirs and theirs <= own)
