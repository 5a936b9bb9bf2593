"""Merges two views of a service as Compose merges files: later says more, or says otherwise.

After compose-go's `override` package: mappings are merged, lists appended, a few fields replaced.
"""

from __future__ import annotations

from inithold.compose.read.mounts import mount_target
from inithold.compose.read.tree import OVERRIDE, RESET, Mapping, Scalar, Sequence, Value

_REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}
# Lists in which an item replaces an equal one rather than standing beside it.
_SETS = {
    "cap_add",
    "cap_drop",
    "configs",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "env_file",
    "expose",
    "external_links",
    "links",
    "ports",
    "profiles",
    "secrets",
    "security_opt",
    "tmpfs",
    "volumes",
}


def merge(base: Value | None, over: Value, path: tuple[str, ...] = ()) -> Value:
    """What is left when `over` (of a later file, or of the one that extends) is laid on `base`.

    Args:
        base: the earlier value, None where there is none.
        over: the later one.
        path: where in the service this is, `("healthcheck", "test")`.
    """
    if base is None or base.tag == RESET or over.tag in (RESET, OVERRIDE) or path in _REPLACED:
        return over
    if isinstance(over, Scalar) and over.data is None:
        return base
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return _mappings(base, over, path)
    if isinstance(base, Sequence) and isinstance(over, Sequence):
        return _sequences(base, over, path)
    if isinstance(base, Scalar) and isinstance(over, Scalar):
        return Scalar(base.places + over.places, base.tag, over.data, over.implied)
    return over


def settle(value: Value) -> Value:
    """The final view: what is `!reset` is gone, the tags are gone."""
    if isinstance(value, Mapping):
        entries = {}
        for key, entry in value.entries.items():
            if entry.tag != RESET:
                entries[key] = settle(entry)
        return Mapping(value.places, None, entries)
    return value


def _mappings(base: Mapping, over: Mapping, path: tuple[str, ...]) -> Mapping:
    if path == ("logging",) and _driver(base) != _driver(over) and _driver(over) is not None:
        return over
    entries = dict(base.entries)
    for key, value in over.entries.items():
        entries[key] = merge(entries.get(key), value, (*path, key))
    return Mapping(base.places + over.places, base.tag, entries)


def _driver(value: Mapping) -> str | None:
    driver = value.get("driver")
    return driver.filled if isinstance(driver, Scalar) else None


def _sequences(base: Sequence, over: Sequence, path: tuple[str, ...]) -> Sequence:
    items = [*base.items, *over.items]
    if len(path) == 1 and path[0] in _SETS:
        unique: dict[str, Value] = {}
        for item in items:
            unique[_identity(item, path[0])] = item
        items = list(unique.values())
    return Sequence(base.places + over.places, base.tag, items)


def _identity(item: Value, field: str) -> str:
    if field == "volumes":
        return mount_target(item) or f"unknown {id(item)}"
    if isinstance(item, Mapping):
        for key in ("target", "path", "source"):
            if isinstance(found := item.get(key), Scalar):
                return found.filled
        return f"unknown {id(item)}"
    return item.filled if isinstance(item, Scalar) else f"unknown {id(item)}"
