"""Rules on commands that do not do what they seem to, and on fields that an old engine does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import DELETE, Change, Finding, Severity, location_of, spot
from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.command import has_no_words, read_command, words

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.read.tree import Value
    from inithold.compose.stack.roles import Stack

_ENDLESS = re.compile(r"time\.sleep\(\s*(?:float\(\s*['\"]inf(?:inity)?['\"]\s*\)|math\.inf)\s*\)", re.IGNORECASE)


def deaf_init(stack: Stack) -> Iterator[Finding]:
    """Held inits whose first process ignores SIGTERM."""
    for init in stack.held:
        if init.command.deaf and (init.service.text("init") or "").lower() != "true":
            yield Finding(
                Severity.WARNING,
                f"the first process of {init.name} ignores SIGTERM: each stop takes ten seconds and ends in "
                "SIGKILL",
                spot(init.service, "command" if init.service.value("command") is not None else "entrypoint"),
                init.name,
                changes=[Change(init.name, ("init",), True)],
            )


def endless_sleep_overflow(stack: Stack) -> Iterator[Finding]:
    """Services whose command sleeps for an infinite time in Python."""
    for service in stack.project.services.values():
        for field in ("entrypoint", "command"):
            if _ENDLESS.search(" ".join(words(service.value(field))[0])):
                yield Finding(
                    Severity.ERROR,
                    f"Python refuses an infinite sleep: {service.name} fails right after its work, each time",
                    spot(service, field),
                    service.name,
                    remedy="run the command under `inithold run --`, or sleep in a loop",
                )


def unshelled_command(stack: Stack) -> Iterator[Finding]:
    """String commands that Compose cuts short."""
    for service in stack.project.services.values():
        for field in ("entrypoint", "command"):
            value = service.value(field)
            dropped = words(value)[1].strip()
            # The container's log has stdout and stderr anyway.
            if not dropped or not isinstance(value, Scalar) or re.fullmatch(r"[12]?>&[12]", dropped):
                continue
            # An entrypoint would get `sh -c` as its arguments; and what follows `inithold run`, which holds,
            # would never run.
            own = field == "command" and not has_no_words(service.value("entrypoint"))
            fixable = not own and not read_command(service).inithold
            yield Finding(
                Severity.ERROR,
                f"Compose starts no shell for a string: {service.name} runs without `{shortened(dropped)}`",
                spot(service, field),
                service.name,
                changes=[Change(service.name, (field,), ["sh", "-c", value.text])] if fixable else (),
                unsafe=True,
                remedy="quote what is meant literally, or let `sh -c` run it: the entrypoint comes first",
            )


def shortened(text: str) -> str:
    """A command on one line of at most 40 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."


def engine_too_old(stack: Stack) -> Iterator[Finding]:
    """Fields that are newer than the oldest engine to support."""
    for service in stack.project.services.values() if stack.engine is not None else ():
        for what, first, value in _newer(service):
            if stack.engine is None or first <= stack.engine:
                continue
            removable = what == "healthcheck.start_interval"
            yield Finding(
                Severity.ERROR,
                f"{what} needs Docker Engine {first}: with {stack.engine} {service.name} does not start, or "
                "starts without it",
                location_of(value.place),
                service.name,
                changes=[Change(service.name, ("healthcheck", "start_interval"), DELETE)] if removable else (),
                remedy=f"remove {what}, or require Docker Engine {first}",
            )


def _newer(service: Service) -> Iterator[tuple[str, int, Value]]:
    start_interval = service.value("healthcheck", "start_interval")
    if start_interval is not None:
        yield "healthcheck.start_interval", 25, start_interval
    volumes = service.value("volumes")
    for item in volumes.items if isinstance(volumes, Sequence) else ():
        if not isinstance(item, Mapping):
            continue
        subpath, kind = item.get("volume", "subpath"), item.get("type")
        if subpath is not None:
            yield "volume.subpath", 26, subpath
        if isinstance(kind, Scalar) and kind.filled == "image":
            yield "a volume of type image", 28, kind
    networks = service.value("networks")
    for network in networks.entries.values() if isinstance(networks, Mapping) else ():
        priority = network.get("gw_priority") if isinstance(network, Mapping) else None
        if priority is not None:
            yield "networks.gw_priority", 28, priority
