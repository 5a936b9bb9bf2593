"""The `x-` arguments of exchanges, queues and bindings: conversion, comparison and display."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_NUMBERS = re.compile(
    "x-(cache-size|cache-ttl|consumer-timeout|delivery-limit|expires|initial-cluster-size|max-in-memory-bytes"
    "|max-in-memory-length|max-length|max-length-bytes|max-priority|message-ttl|priority|queue-version"
    "|quorum-initial-group-size|quorum-target-group-size|stream-filter-size-bytes|stream-max-segment-size-bytes)"
)
"""Arguments that RabbitMQ and its usual plug-ins accept only as integers."""
_FLAGS = ("x-single-active-consumer",)
_WHOLE = re.compile(r"[+-]?[0-9]+")


def sent(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Convert digits, such as from `${TTL}`, to integers in arguments known to be integers.

    All others stay text, such as a routing key or a header of digits.
    """

    def typed(name: str, value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and _NUMBERS.fullmatch(name) and _WHOLE.fullmatch(value):
            return int(value)
        if isinstance(value, str) and name in _FLAGS and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return value

    return {name: typed(name, value) for name, value in arguments.items()}


def has_fraction(value: Any) -> bool:
    """Whether it contains a float, which only the management API can send, not pika."""
    if isinstance(value, Mapping):
        return any(map(has_fraction, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_fraction, value))
    return isinstance(value, float) and not value.is_integer()


def faults(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors in arguments."""
    for name, value in sent(arguments).items():
        if len(name.encode()) > 255:
            yield f"{name}: an argument's name may be 255 bytes long"
        elif _NUMBERS.fullmatch(name) and (isinstance(value, bool) or not isinstance(value, int)):
            yield f"{name}: expected a whole number, got {shown(value)}"
        elif name in _FLAGS and not isinstance(value, bool):
            yield f"{name}: expected true or false, got {shown(value)}"
        elif not _representable(value):
            yield (
                f"{name}: expected text, a number (whole ones of 64 bits), true or false, "
                "or a list or mapping of them"
            )


def _representable(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _representable(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_representable, value))
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal for the broker: 1 equals 1.0, but true does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def shown(value: Any) -> str:
    """Format a value: text as it is, everything else as JSON."""
    return value if isinstance(value, str) and value else msgspec.json.encode(value, enc_hook=str).decode()


def listed(properties: Mapping[str, Any]) -> str:
    """Format properties on one line: `durable=true, x-message-ttl=1000`."""
    return ", ".join(f"{name}={shown(value)}" for name, value in properties.items())


def difference(present: Mapping[str, Any], desired: Mapping[str, Any]) -> tuple[str, str] | None:
    """Describe the properties that differ, for each side; None if they are equal.

    Returns:
        For example `("durable=false, x-message-ttl=1000", "durable=true, no x-message-ttl")`.
    """
    names = [
        name
        for name in dict.fromkeys([*desired, *present])
        if name not in present or name not in desired or not same(present[name], desired[name])
    ]
    if not names:
        return None
    one, other = (
        ", ".join(listed({name: side[name]}) if name in side else f"no {name}" for name in names)
        for side in (present, desired)
    )
    return one, other
