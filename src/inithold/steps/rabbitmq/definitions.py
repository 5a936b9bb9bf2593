"""Reads RabbitMQ's definitions JSON, as written by `rabbitmqctl export_definitions` and the management API.

In an export of the whole broker every object has its virtual host, in that of a single virtual host none does. The
sections are those of RabbitMQ's "Schema Definition Export and Import" guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from inithold.errors import StepFailed
from inithold.steps.rabbitmq.objects import Binding, Exchange, Placed, Queue
from inithold.text.files import read_regular_text
from inithold.text.suggest import did_you_mean

if TYPE_CHECKING:
    from inithold.steps.rabbitmq.resources import Resource

_OWN = ("internal_cluster_id",)
"""Global parameters that identify the exported broker."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Definitions(NamedTuple):
    """What a broker must have.

    Attributes:
        objects: exchanges, queues and bindings, with duplicates.
        resources: what only the management API can create.
        faults: errors in entries of the file.
    """

    objects: tuple[Placed, ...]
    resources: tuple[Resource, ...] = ()
    faults: tuple[str, ...] = ()


class _Binding(msgspec.Struct):
    source: str
    destination: str
    destination_type: str = "queue"
    routing_key: str = ""
    arguments: dict[str, Any] = {}


def read(path: str, virtual_host: str) -> Definitions:
    """Read a definitions file; objects without a virtual host belong to the given one.

    Raises:
        StepFailed: the file does not exist or is not a definitions file. Errors in single entries are in `faults`
            of the result.
    """
    from inithold.steps.rabbitmq.resources import KINDS, GlobalParameter  # noqa: PLC0415 - most plans have no file

    document: dict[str, Any] | None = None
    try:
        document = json.loads(read_regular_text(path))
        problem = "not RabbitMQ's definitions: expected an object with queues, exchanges, bindings"
    except OSError as error:
        problem = str(error.strerror)
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
    except json.JSONDecodeError as error:
        problem = f"not JSON: {_lower(error.msg)} in line {error.lineno}"
    except RecursionError:
        problem = "nested too deeply"
    if not isinstance(document, dict):
        hint = "export it again (rabbitmqctl export_definitions), or fix it"
        raise StepFailed(f"{path}: {problem}", hint=hint) from None
    shapes: dict[str, Any] = {"exchanges": Exchange, "queues": Queue, "bindings": _Binding}
    sections = [*shapes, *(shape.section for shape in KINDS)]
    faults = [
        f"unknown section {name!r}{did_you_mean(name, sections)}"
        for name, value in document.items()
        if name not in sections and isinstance(value, list) and value
    ]
    objects: list[Placed] = []
    for section, shape in shapes.items():
        for entry, fields in _entries(document, section, shape, faults):
            if isinstance(entry, _Binding) and entry.source == "":
                continue  # Every queue is bound to the default exchange.
            host = fields.get("vhost")
            where = host if isinstance(host, str) and host else virtual_host
            item = entry
            if isinstance(entry, _Binding):
                to_queue = entry.destination_type == "queue"
                item = Binding(
                    exchange=entry.source,
                    queue=entry.destination if to_queue else None,
                    destination_exchange=None if to_queue else entry.destination,
                    routing_key=entry.routing_key,
                    arguments=entry.arguments,
                )
            elif isinstance(entry, Queue) and (entry.type == "classic" or "x-queue-type" in entry.arguments):
                # An export has the type of every queue, even if only the default; the argument was asked for.
                item = msgspec.structs.replace(entry, type=None)
            objects.append(Placed(where, item, "" if where == virtual_host else f" in {where}"))
    resources = tuple(
        resource.placed(virtual_host)
        for shape in KINDS
        for resource, _ in _entries(document, shape.section, shape, faults)
        if not (isinstance(resource, GlobalParameter) and resource.name in _OWN)
    )
    for placed in objects:
        faults += [f"{placed.label}: {field}{': ' if field else ''}{text}" for field, text in placed.item.faults()]
    for resource in resources:
        resource.learn_secrets()
        faults += resource.faults()
    return Definitions(tuple(objects), resources, tuple(faults))


def _entries(
    document: dict[str, Any], section: str, shape: type[Shape], faults: list[str]
) -> Iterator[tuple[Shape, dict[str, Any]]]:
    """Yield the entries of a section, typed and raw; invalid ones are added to `faults`."""
    entries = document.get(section) or []
    if not isinstance(entries, list):
        faults.append(f"{section}: expected a list")
        return
    known = {field.encode_name for field in msgspec.structs.fields(shape)}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            faults.append(f"{section}[{index}]: expected an object")
            continue
        try:
            yield msgspec.convert({name: value for name, value in entry.items() if name in known}, shape), entry
        except msgspec.ValidationError as error:
            name = entry.get("name")
            which = f" ({name})" if isinstance(name, str) else ""
            faults.append(f"{section}[{index}]{which}: {_lower(str(error).replace('`', ''))}")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
