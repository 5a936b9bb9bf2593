"""RabbitMQ's own definitions JSON, as `rabbitmqctl export_definitions` and the management API write it.

Of the whole broker every object names its virtual host; exported for one virtual host none does. The sections are
those of RabbitMQ's "Schema Definition Export and Import" guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed, Queue
from inithold.steps.rabbitmq.resources import KINDS, GlobalParameter, Resource
from inithold.steps.rabbitmq.validation import Unreadable
from inithold.text.suggest import did_you_mean

_SECTIONS = ("exchanges", "queues", "bindings", *(shape.section for shape in KINDS))
_OWN = ("internal_cluster_id",)
"""Global parameters that name the broker a file came from."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Definitions(NamedTuple):
    """What a file defines.

    Attributes:
        objects: exchanges, queues and bindings.
        resources: what only the management API can make.
        faults: entries that are not what their section is for.
    """

    objects: tuple[Placed, ...]
    resources: tuple[Resource, ...]
    faults: tuple[str, ...]


class _Binding(msgspec.Struct):
    source: str
    destination: str
    destination_type: str = "queue"
    routing_key: str = ""
    arguments: dict[str, Any] = {}


def read(path: str, virtual_host: str) -> Definitions:
    """Read a definitions file.

    Args:
        path: of the file.
        virtual_host: of the objects that name none.

    Raises:
        Unreadable: there is no such file or it is not definitions at all. What is wrong with single entries is in
            `faults` of the result.
    """
    document = _document(path)
    faults = [
        f"unknown section {name!r}{did_you_mean(name, _SECTIONS)}"
        for name, value in document.items()
        if name not in _SECTIONS and isinstance(value, list) and value
    ]
    entries = _Entries(document, faults)
    objects: list[Placed] = []
    for section, shape in (("exchanges", Exchange), ("queues", Queue), ("bindings", _Binding)):
        for item, entry in entries.typed(section, shape):
            placed = _placed(item, entry.get("vhost"), virtual_host)
            objects += [] if placed is None else [placed]
    resources = tuple(
        resource.placed(virtual_host)
        for shape in KINDS
        for resource, _ in entries.typed(shape.section, shape)
        if not (isinstance(resource, GlobalParameter) and resource.name in _OWN)
    )
    for resource in resources:
        resource.learn_secrets()
    return Definitions(tuple(objects), resources, tuple(faults))


class _Entries:
    """The entries of the sections of a document, typed; collects what is wrong with them."""

    def __init__(self, document: dict[str, Any], faults: list[str]) -> None:
        self._document = document
        self._faults = faults

    def typed(self, section: str, shape: type[Shape]) -> Iterator[tuple[Shape, dict[str, Any]]]:
        entries = self._document.get(section) or []
        if not isinstance(entries, list):
            self._faults.append(f"{section}: expected a list")
            return
        known = {field.encode_name for field in msgspec.structs.fields(shape)}
        for index, entry in enumerate(entries):
            try:
                fields = {name: value for name, value in entry.items() if name in known}
                yield msgspec.convert(fields, shape), entry
            except AttributeError:
                self._faults.append(f"{section}[{index}]: expected an object")
            except msgspec.ValidationError as error:
                name = entry.get("name")
                which = f" ({name})" if isinstance(name, str) else ""
                self._faults.append(f"{section}[{index}]{which}: {_lower(str(error).replace('`', ''))}")


def _document(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise Unreadable(f"{path}: not JSON: {_lower(error.msg)} in line {error.lineno}") from error
    except RecursionError as error:
        raise Unreadable(f"{path}: nested too deeply") from error
    if not isinstance(document, dict):
        raise Unreadable(
            f"{path}: not RabbitMQ's definitions: expected an object with queues, exchanges, bindings"
        )
    return document


def _placed(entry: Any, virtual_host: object, own: str) -> Placed | None:
    """The object in its virtual host; None for the binding to the default exchange, which every queue has."""
    item: Exchange | Queue | Binding = entry
    if isinstance(entry, _Binding):
        if entry.source == "":
            return None
        to_queue = entry.destination_type == "queue"
        item = Binding(
            exchange=entry.source,
            queue=entry.destination if to_queue else None,
            destination_exchange=None if to_queue else entry.destination,
            routing_key=entry.routing_key,
            arguments=entry.arguments,
        )
    elif isinstance(entry, Queue) and (entry.type == "classic" or "x-queue-type" in entry.arguments):
        # The export names the type of every queue, also where nobody asked for it: only the argument is a wish.
        item = msgspec.structs.replace(entry, type=None)
    where = virtual_host if isinstance(virtual_host, str) and virtual_host else own
    return Placed(where, item, "" if where == own else f" in {where}")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
