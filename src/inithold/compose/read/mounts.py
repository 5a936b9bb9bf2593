"""What a service mounts: the short and the long form of `volumes`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inithold.compose.read.tree import Mapping, Place, Scalar, Value

# A colon inside `${VAR:-default}` separates nothing.
_PARTS = re.compile(r"(?:\$\{[^}]*\}|[^:])+")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    Args:
        kind: `bind`, `volume` (named or anonymous), `tmpfs`, or what the long form says.
        source: host path or volume name, empty for an anonymous volume or a tmpfs.
        target: path in the container.
        place: where it is written.
    """

    kind: str
    source: str
    target: str
    place: Place

    def holds(self, path: str) -> bool:
        """Is `path` in the container at or below this mount?"""
        root = self.target.rstrip("/")
        return path == root or path.startswith(f"{root}/")


def mount_target(item: Value) -> str | None:
    """The container path of one item of `volumes`, None where it has none."""
    mount = read_mount(item)
    return mount.target if mount else None


def read_mount(item: Value) -> Mount | None:
    """One item of `volumes`, in either form; None for what is not one."""
    if isinstance(item, Mapping):
        target = item.get("target")
        if not isinstance(target, Scalar):
            return None
        said, source = item.get("type"), item.get("source")
        named = said.filled if isinstance(said, Scalar) else "volume"
        return Mount(named, source.filled if isinstance(source, Scalar) else "", target.filled, item.place)
    if not isinstance(item, Scalar) or item.data is None:
        return None
    text = item.filled
    parts = _PARTS.findall(text)
    if len(parts) < 2:
        return Mount("volume", "", text, item.place)
    kind = "bind" if parts[0][:1] in ("/", ".", "~") or parts[0].startswith("${PWD") else "volume"
    return Mount(kind, parts[0], parts[1], item.place)
