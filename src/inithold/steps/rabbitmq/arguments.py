"""The `x-` arguments of exchanges, queues and bindings: what is sent, what is equal, how it is spelled."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

NUMBERS = frozenset(
    {
        "x-cache-size",
        "x-cache-ttl",
        "x-consumer-timeout",
        "x-delivery-limit",
        "x-expires",
        "x-initial-cluster-size",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-message-ttl",
        "x-priority",
        "x-queue-version",
        "x-quorum-initial-group-size",
        "x-quorum-target-group-size",
        "x-stream-filter-size-bytes",
        "x-stream-max-segment-size-bytes",
    }
)
"""Arguments that RabbitMQ and its usual plug-ins take as whole numbers only."""
FLAGS = frozenset({"x-single-active-consumer"})
"""Arguments that are true or false."""
_WHOLE = re.compile(r"[+-]?[0-9]+\Z")
_WIDEST = 2**63


def sent(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with their types: what came out of `${TTL}` as digits is a number where one is meant.

    Only arguments known to be numbers are converted: a routing key or a header of digits is text.
    """
    return {name: _typed(name, value) for name, value in arguments.items()}


def has_fraction(value: Any) -> bool:
    """Whether there is a number with a fraction in it, which pika cannot send and the management API can."""
    if isinstance(value, Mapping):
        return any(map(has_fraction, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_fraction, value))
    return isinstance(value, float) and not value.is_integer()


def faults(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with arguments, as (name, message)."""
    for name, value in sent(arguments).items():
        if len(name.encode()) > 255:
            yield name, "an argument's name may be 255 bytes long"
        elif name in NUMBERS and (isinstance(value, bool) or not isinstance(value, int)):
            yield name, f"expected a whole number, got {spelled(value)}"
        elif name in FLAGS and not isinstance(value, bool):
            yield name, f"expected true or false, got {spelled(value)}"
        elif not _representable(value):
            yield (
                name,
                "expected text, a number (whole ones of 64 bits), true or false, or a list or mapping of them",
            )


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the broker: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def spelled(value: Any) -> str:
    """A value as people read it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) and value else msgspec.json.encode(value, enc_hook=str).decode()


def listed(properties: Mapping[str, Any]) -> str:
    """Properties in a line: `durable=true, x-message-ttl=1000`."""
    return ", ".join(f"{name}={spelled(value)}" for name, value in properties.items())


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    if name in NUMBERS and _WHOLE.match(value):
        return int(value)
    if name in FLAGS and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _representable(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _representable(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_representable, value))
    if isinstance(value, int):
        return -_WIDEST <= value < _WIDEST
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str)
