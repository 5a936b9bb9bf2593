"""Brings the short and long forms of a service's fields to one shape, before files are merged.

After the Compose specification and compose-go's `override` package (v2.9).
"""

from __future__ import annotations

from typing import TypeGuard

from inithold.compose.read.source import Source
from inithold.compose.read.tree import Mapping, Scalar, Sequence, Value

_KEYED = ("environment", "labels", "annotations", "sysctls")
_LISTS = ("tmpfs", "dns", "dns_search", "dns_opt", "env_file", "profiles")
_SHAPES: dict[str, tuple[type[Value], ...]] = {
    "depends_on": (Mapping, Sequence),
    "healthcheck": (Mapping,),
    "deploy": (Mapping,),
    "environment": (Mapping, Sequence),
    "volumes": (Sequence,),
    "command": (Scalar, Sequence),
    "entrypoint": (Scalar, Sequence),
    "image": (Scalar,),
    "restart": (Scalar,),
    "tmpfs": (Scalar, Sequence),
    "build": (Scalar, Mapping),
    "extends": (Scalar, Mapping),
    "profiles": (Sequence,),
}
_NAMES = {Mapping: "a mapping", Sequence: "a list", Scalar: "a single value"}


def shape_service(service: Mapping, name: str, source: Source) -> Mapping:
    """The service with every field in its long form; the places stay those of what is written.

    Raises:
        DocumentError: a field that is read here has a form that Compose does not know.
    """
    entries = {}
    for key, value in service.entries.items():
        _expect(value, f"services.{name}.{key}", _SHAPES.get(key), source)
        reset = value.tag == "!reset"
        entries[key] = value if reset else _shape(key, value, f"services.{name}.{key}", source)
    return Mapping(service.places, service.tag, entries)


def is_absent(value: Value | None) -> bool:
    """True for what is not there, or there and empty (`healthcheck:`)."""
    return value is None or (isinstance(value, Scalar) and value.data is None)


def _expect(value: Value, path: str, kinds: tuple[type[Value], ...] | None, source: Source) -> None:
    if kinds is None or isinstance(value, kinds) or is_absent(value) or value.tag == "!reset":
        return
    wanted = " or ".join(_NAMES[kind] for kind in kinds)
    raise source.fault(f"{path} must be {wanted}", value.place.node)


def _shape(key: str, value: Value, path: str, source: Source) -> Value:
    if key == "depends_on":
        return _dependencies(value, path, source)
    if key in _KEYED and isinstance(value, Sequence):
        return _keyed(value)
    if key in _LISTS and isinstance(value, Scalar) and value.data is not None:
        return Sequence(value.places, value.tag, [value])
    if key == "build":
        return _build(value)
    if key == "networks" and isinstance(value, Sequence):
        names = [item for item in value.items if isinstance(item, Scalar)]
        return Mapping(value.places, value.tag, {item.filled: Scalar(item.places, data=None) for item in names})
    return value


def _build(value: Value) -> Value:
    if isinstance(value, Scalar) and value.data is not None:
        return Mapping(value.places, value.tag, {"context": value})
    if isinstance(value, Mapping) and isinstance(args := value.get("args"), Sequence):
        return Mapping(value.places, value.tag, {**value.entries, "args": _keyed(args)})
    return value


def _keyed(value: Sequence) -> Mapping:
    entries: dict[str, Value] = {}
    for item in value.items:
        if _is_text(item):
            name, separator, rest = item.filled.partition("=")
            own, _, written = item.text.partition("=")
            entries[name] = Scalar(item.places, data=(written if own == name else rest) if separator else None)
    return Mapping(value.places, value.tag, entries)


def _dependencies(value: Value, path: str, source: Source) -> Value:
    if isinstance(value, Mapping):
        for name, entry in value.entries.items():
            _expect(entry, f"{path}.{name}", (Mapping,), source)
        return value
    if not isinstance(value, Sequence):
        return value
    entries: dict[str, Value] = {}
    for item in value.items:
        if not _is_text(item):
            raise source.fault(f"{path} must be a list of service names", item.place.node)
        implied = {
            "condition": Scalar(item.places, data="service_started", implied=True),
            "required": Scalar(item.places, data=True, implied=True),
        }
        entries[item.filled] = Mapping(item.places, None, dict(implied))
    return Mapping(value.places, value.tag, entries)


def _is_text(value: Value) -> TypeGuard[Scalar]:
    return isinstance(value, Scalar) and value.data is not None
