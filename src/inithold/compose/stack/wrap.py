"""Makes a one-shot command hold, keeping the command exactly as it is.

Both forms go before the entrypoint, so that `command` stays as written, in whichever form: the engine runs
entrypoint and command as one list of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inithold.compose.finding import Change
from inithold.compose.read.tree import Scalar, Sequence, Value
from inithold.compose.stack import shellwords
from inithold.compose.stack.command import DEFAULT_MARKER, has_no_words
from inithold.compose.stack.image import argv
from inithold.compose.stack.roles import Wrap
from inithold.compose.stack.wiring import PROBE

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.image import ImageConfig
    from inithold.compose.stack.roles import Init
    from inithold.compose.stack.servers import Server

_SHARED_MEMORY = "/dev/shm/init-complete"  # noqa: S108 - in the container


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The outcome of wrapping a command.

    Args:
        changes: of entrypoint, command and `init`.
        test: the healthcheck's test that sees readiness.
        tmpfs: the marker lies where no restart leaves an old one.
    """

    changes: list[Change]
    test: list[str]
    tmpfs: bool


def script(marker: str, *, one_line: bool) -> str:
    """The portable wrapper: a POSIX shell script that runs its arguments, publishes the marker and holds.

    SIGTERM, SIGINT and SIGQUIT end the command while it runs, and the hold at once. Every `$` is doubled, as
    Compose wants it.
    """
    lines = [
        f"m={marker}",
        'rm -f "$m" || exit 1',
        "t=",
        # `$!` rather than a name for it: a signal may come before the name is given. SIGTERM for all of them: what
        # a shell starts in the background ignores SIGINT and SIGQUIT, which images name as their STOPSIGNAL.
        'stop() { t=$1; kill "$!" 2>/dev/null; }',
        'trap "stop 143" TERM',
        'trap "stop 130" INT',
        'trap "stop 131" QUIT',
        # A shell gives what it starts in the background an empty input: the container's own is kept aside for it.
        "exec 3<&0",
        '"$@" <&3 3<&- & p=$!',
        "exec 3<&-",
        'if [ "$t" ]; then kill "$p"; fi',
        'wait "$p"',
        "c=$?",
        'if [ "$t" ]; then wait "$p"; exit "$t"; fi',
        'if [ "$c" != 0 ]; then echo "inithold: the command failed with exit code $c" >&2; exit 1; fi',
        # SIGKILL: a child that has not come to its own program yet would take the signal for the shell's.
        'end() { kill -9 "$!" 2>/dev/null; exit 0; }',
        "trap end TERM INT QUIT",
        'echo ready > "$m" || exit 1',
        'while true; do sleep 86400 & wait "$!"; done',
    ]
    joined = "; ".join(lines) if one_line else "\n".join(lines) + "\n"
    return joined.replace("$", "$$")


def marker_for(init: Init) -> str:
    """Where the wrapper publishes: `/tmp`, or shared memory where `/tmp` cannot be written."""
    read_only = (init.service.text("read_only") or "").lower() == "true"
    if read_only and not init.on_tmpfs(DEFAULT_MARKER):
        return _SHARED_MEMORY
    return DEFAULT_MARKER


def wrap(init: Init, form: Wrap, image: ImageConfig | None, servers: Iterable[Server] = ()) -> Wrapped | None:
    """Make the command of `init` hold; None where its entrypoint is the image's and not known.

    Args:
        init: the one-shot service.
        form: with `inithold run --`, or with a shell script.
        image: entrypoint and command of its image, where they could be read.
        servers: to wait for first, which `inithold run` can.
    """
    if argv(init.service, image).words is None and needs_image(init.service):
        return None
    marker = marker_for(init)
    if form is Wrap.INITHOLD:
        own = ["--marker", marker] if marker != DEFAULT_MARKER else []
        waits = [word for server in servers for word in ("--wait", f"tcp://{server.name}:{server.port}")]
        prefix = ["inithold", "run", *own, *waits, "--"]
        test = [*PROBE, *own]
        changes = _prefix(init.service, form, prefix, prefix, image)
    else:
        listed = ["sh", "-c", script(marker, one_line=_inline(init.service)), "sh"]
        flat = ["sh", "-c", script(marker, one_line=True), "sh"]
        test = ["CMD-SHELL", f"test -f {marker}"]
        changes = _prefix(init.service, form, listed, flat, image)
        if init.service.text("init") != "true":
            changes.append(Change(init.name, ("init",), True))
    return Wrapped(changes, test, init.on_tmpfs(marker))


def needs_image(service: Service) -> bool:
    """True where what runs cannot be told without the image."""
    entrypoint = service.value("entrypoint")
    return entrypoint is None or (has_no_words(entrypoint) and _empty(service.value("command")))


def _inline(service: Service) -> bool:
    """Is the entrypoint a list in brackets that has to stay one?"""
    value = service.value("entrypoint")
    if not isinstance(value, Sequence) or not value.items:
        return False
    return bool(getattr(value.place.node, "flow_style", False)) and not value.place.can_open


def _prefix(
    service: Service, form: Wrap, listed: list[str], flat: list[str], image: ImageConfig | None
) -> list[Change]:
    entrypoint, command = service.value("entrypoint"), service.value("command")
    given = _escaped(image.entrypoint or ()) if image and entrypoint is None else []
    default = _escaped(image.command or ()) if image and _empty(command) else []
    if not has_no_words(entrypoint):
        return [Change(service.name, ("entrypoint",), _before(entrypoint, listed, flat))]
    if form is Wrap.INITHOLD and not given:
        return [
            Change(service.name, ("command",), [*listed, *default] if default else _before(command, listed, flat))
        ]
    changes = [Change(service.name, ("entrypoint",), [*listed, *given])]
    if default:
        # An entrypoint of the service's own makes the engine forget the image's command.
        changes.append(Change(service.name, ("command",), default))
    return changes


def _before(value: Value | None, listed: list[str], flat: list[str]) -> Any:
    if isinstance(value, Sequence):
        return [*listed, *(item.data for item in value.items if isinstance(item, Scalar))]
    if not isinstance(value, Scalar):
        return listed
    parts, dropped = shellwords.split(value.text)
    # A variable may stand for several words: what has one stays a string, and so does what is a string now.
    short = all("\n" not in item for item in listed)
    return f"{_quoted(flat)} {value.text}" if short or dropped or "$" in value.text else [*listed, *parts]


def _escaped(parts: tuple[str, ...]) -> list[str]:
    return [part.replace("$", "$$") for part in parts]


def _empty(value: Value | None) -> bool:
    if isinstance(value, Scalar):
        return not value.text.strip()
    return value is None or (isinstance(value, Sequence) and not value.items)


def _quoted(parts: list[str]) -> str:
    return " ".join(part if re.fullmatch(r"[\w/.:-]+", part) else f"'{part}'" for part in parts)
