"""Normalizes the fields of a service to their long form, and merges services as Compose merges files.

Follows the Compose specification and compose-go's `override` package (v2.9): mappings are merged, lists appended,
a few fields replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from posixpath import normpath

from inithold.compose.read.tree import (
    OVERRIDE,
    RESET,
    Mapping,
    Place,
    Scalar,
    Sequence,
    Source,
    Value,
    is_absent,
    plain,
)

_KEYED = ("environment", "labels", "annotations", "sysctls")
_LISTS = ("tmpfs", "dns", "dns_search", "dns_opt", "env_file", "profiles")
_FORMS: dict[str, tuple[type[Value], ...]] = {
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
_REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}
# Lists in which an item replaces an equal one instead of being appended.
_SETS = {
    *("cap_add", "cap_drop", "configs", "devices", "dns", "dns_opt", "dns_search", "env_file", "expose"),
    *("external_links", "links", "ports", "profiles", "secrets", "security_opt", "tmpfs", "volumes"),
}
# The parts of a short mount: a colon inside `${VAR:-default}` does not separate them.
_PARTS = re.compile(r"(?:\$\{[^}]*\}|[^:])+")


def shape_service(service: Mapping, name: str, source: Source) -> Mapping:
    """Convert the fields of a service to their long form; places still point to what is written.

    Raises:
        DocumentError: a field has a form that Compose does not accept.
    """
    entries = {}
    for key, value in service.entries.items():
        path, written = f"services.{name}.{key}", value.tag != RESET and not is_absent(value)
        _expect(value, path, _FORMS.get(key, (Value,)), source)
        if key == "depends_on" and isinstance(value, Mapping):
            for target, entry in value.entries.items():
                _expect(entry, f"{path}.{target}", (Mapping,), source)
        entries[key] = _shape(key, value, path, source) if written else value
    return Mapping(service.places, service.tag, entries)


def _expect(value: Value, path: str, kinds: tuple[type[Value], ...], source: Source) -> None:
    if not isinstance(value, kinds) and not is_absent(value) and value.tag != RESET:
        raise source.fault(f"{path} must be {' or '.join(_NAMES[kind] for kind in kinds)}", value.place.node)


def _shape(key: str, value: Value, path: str, source: Source) -> Value:
    entries: dict[str, Value]
    args = value.get("args") if key == "build" and isinstance(value, Mapping) else None
    if key in _LISTS and isinstance(value, Scalar):
        return Sequence(value.places, value.tag, [value])
    if key == "build" and isinstance(value, Scalar):
        entries = {"context": value}
    elif isinstance(value, Mapping) and isinstance(args, Sequence):
        entries = {**value.entries, "args": Mapping(args.places, args.tag, _keyed(args))}
    elif not isinstance(value, Sequence):
        return value
    elif key == "depends_on":
        entries = _dependencies(value, path, source)
    elif key in _KEYED:
        entries = _keyed(value)
    elif key == "networks":
        names = [item for item in value.items if isinstance(item, Scalar)]
        entries = {item.filled: Scalar(item.places, data=None) for item in names}
    else:
        return value
    return Mapping(value.places, value.tag, entries)


def _keyed(value: Sequence) -> dict[str, Value]:
    """Convert `NAME=value` items to a mapping."""
    entries: dict[str, Value] = {}
    for item in value.items:
        if isinstance(item, Scalar) and item.data is not None:
            name, separator, rest = item.filled.partition("=")
            own, _, written = item.text.partition("=")
            entries[name] = Scalar(item.places, data=(written if own == name else rest) if separator else None)
    return entries


def _dependencies(value: Sequence, path: str, source: Source) -> dict[str, Value]:
    entries: dict[str, Value] = {}
    for item in value.items:
        if not isinstance(item, Scalar) or item.data is None:
            raise source.fault(f"{path} must be a list of service names", item.place.node)
        implied: dict[str, Value] = {
            "condition": Scalar(item.places, data="service_started", implied=True),
            "required": Scalar(item.places, data=True, implied=True),
        }
        entries[item.filled] = Mapping(item.places, None, implied)
    return entries


def merge(base: Value | None, over: Value, path: tuple[str, ...] = ()) -> Value:
    """Merge `over`, from a later file or an extending service, into `base`.

    Args:
        base: the earlier value, or None.
        over: the later one.
        path: where in the service this is, such as `("healthcheck", "test")`.
    """
    if base is None or base.tag == RESET or over.tag in (RESET, OVERRIDE) or path in _REPLACED:
        return over
    if is_absent(over):
        # A variable without a value is one from the environment, and a label an empty one.
        named = path[:-1] in {(key,) for key in _KEYED} | {("build", "args")}
        return over if named else base
    if path == ("logging",) and isinstance(base, Mapping) and isinstance(over, Mapping):
        # Another logging driver has other options.
        driver = plain(over.get("driver"))
        if driver is not None and driver != plain(base.get("driver")):
            return over
    places = base.places + over.places
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        entries = dict(base.entries)
        for key, value in over.entries.items():
            entries[key] = merge(entries.get(key), value, (*path, key))
        return Mapping(places, base.tag, entries)
    if isinstance(base, Sequence) and isinstance(over, Sequence):
        items = [*base.items, *over.items]
        if len(path) == 1 and path[0] in _SETS:
            items = list({_identity(item, path[0]): item for item in items}.values())
        return Sequence(places, base.tag, items)
    if isinstance(base, Scalar) and isinstance(over, Scalar):
        return Scalar(places, base.tag, over.data, over.implied)
    return over


def _identity(item: Value, field: str) -> object:
    """Return the key by which two items of a set count as the same."""
    if field == "volumes":
        mount = read_mount(item)
        return mount.target if mount is not None else id(item)
    if isinstance(item, Mapping):
        keys = (item.get(key) for key in ("target", "path", "source"))
        return next((key.filled for key in keys if isinstance(key, Scalar)), id(item))
    return item.filled if isinstance(item, Scalar) else id(item)


def settle(value: Value) -> Value:
    """Remove `!reset` values and all tags."""
    if not isinstance(value, Mapping):
        return value
    entries = {key: settle(entry) for key, entry in value.entries.items() if entry.tag != RESET}
    return Mapping(value.places, None, entries)


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a service.

    Args:
        kind: `bind`, `volume` (named or anonymous), `tmpfs`, or another `type` of the long form.
        source: host path or volume name; empty for an anonymous volume or a tmpfs.
        target: path in the container.
        place: where it is written.
    """

    kind: str
    source: str
    target: str
    place: Place

    def holds(self, path: str) -> bool:
        """Whether `path` in the container is at or below this mount; a relative one is if its folders match."""
        root = self.target.rstrip("/")
        if not path.startswith("/"):
            folders = path.removeprefix("./").split("/")[:-1]
            return any(root.endswith("/" + "/".join(folders[:count])) for count in range(1, len(folders) + 1))
        return path == root or path.startswith(f"{root}/")


def read_mount(item: Value) -> Mount | None:
    """Read an item of `volumes`, in short or long form; None if it is not a mount."""
    if isinstance(item, Mapping):
        kind, source, target = (item.get(key) for key in ("type", "source", "target"))
        if not isinstance(target, Scalar):
            return None
        named = source.filled if isinstance(source, Scalar) else ""
        return Mount(kind.filled if isinstance(kind, Scalar) else "volume", named, target.filled, item.place)
    if not isinstance(item, Scalar) or item.data is None:
        return None
    parts = _PARTS.findall(item.filled)
    if len(parts) < 2:
        return Mount("volume", "", _clean(item.filled), item.place)
    bound = parts[0][:1] in ("/", ".", "~") or parts[0].startswith("${PWD")
    return Mount("bind" if bound else "volume", parts[0], _clean(parts[1]), item.place)


def _clean(target: str) -> str:
    """Clean a path as Compose does in short mounts; long ones stay as they are."""
    return normpath(target) if target.startswith("/") else target
