"""Makes a one-shot init service hold: changes its command, restart policy, healthcheck and dependents.

The wrapper goes in front of the entrypoint, so that `command` stays exactly as written: the engine runs entrypoint
and command as one list of words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from inithold.compose.finding import DELETE, Change
from inithold.compose.read.tree import Scalar, Sequence, Value, plain
from inithold.compose.stack import wiring
from inithold.compose.stack.command import DEFAULT_MARKER, has_no_words, is_inithold_image, split
from inithold.compose.stack.image import argv, escaped
from inithold.compose.stack.roles import Wrap
from inithold.compose.stack.servers import advice_to_split, unready_servers

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.image import ImageConfig
    from inithold.compose.stack.roles import Init, Stack

Way = tuple[list[Change], str | None, str | None]
"""The changes; if there are none, what to do by hand; what the user must take care of after the changes."""

_SHARED_MEMORY = "/dev/shm/init-complete"  # noqa: S108 - in the container


def make_hold(init: Init, stack: Stack) -> Way:
    """Return how to make a one-shot hold, in the form given by `--wrap`."""
    service, name = init.service, stack.images.name(init.service)
    note = None
    if init.command.repair:
        return _by_hand(
            "run the whole plan with `inithold run`, which holds: --only and --from are for repairs beside such a "
            "run, and end when they are done"
        )
    if init.command.inithold:
        changes, test, tmpfs = _without_once(service), wiring.test_for(init), False
        if not changes:
            return _by_hand("remove --once from its command, so that it holds")
    elif (advice := advice_to_split(init, stack)) is not None:
        return _by_hand(advice)
    else:
        if stack.wrap is None:
            return _by_hand(
                "make it hold: `fix --wrap inithold` for an image that has inithold, `--wrap shell` for any with "
                "sh"
            )
        image = name or f"of {init.name}"
        if stack.wrap is Wrap.INITHOLD and not is_inithold_image(image):
            if stack.images.lacks_inithold(name):
                return _by_hand(
                    f"the image {image} does not contain inithold: install it there, build the image and fix "
                    "again, or use `--wrap shell`"
                )
            # Somebody else's image may not even have Python.
            built = service.value("build") is not None
            how = (
                "`pip install inithold` where it is built"
                if built
                else "build your own from it, or `--wrap shell`"
            )
            note = f"the image {image} must contain inithold: {how}"
        entrypoint = service.value("entrypoint")
        needed = entrypoint is None or (has_no_words(entrypoint) and _empty(service.value("command")))
        config = stack.images(service) if needed else None
        if needed and argv(service, config).words is None:
            return _by_hand(
                "its entrypoint is the image's, which no engine here knows: pull or build the image where "
                "docker answers, or write `entrypoint:` into the service"
            )
        read_only = (service.text("read_only") or "").lower() == "true"
        marker = _SHARED_MEMORY if read_only and not init.on_tmpfs(DEFAULT_MARKER) else DEFAULT_MARKER
        tmpfs = init.on_tmpfs(marker)
        if stack.wrap is Wrap.INITHOLD:
            own = ["--marker", marker] if marker != DEFAULT_MARKER else []
            servers = [server for server in unready_servers(init, stack) if server.port and not server.tested]
            waits = [word for server in servers for word in ("--wait", f"tcp://{server.name}:{server.port}")]
            prefix, test = ["inithold", "run", *own, *waits, "--"], [*wiring.PROBE, *own]
            changes = _put_before(service, stack.wrap, prefix, prefix, config)
        else:
            # A flow list that cannot become a block list cannot contain a multi-line script.
            place = entrypoint.place if isinstance(entrypoint, Sequence) and entrypoint.items else None
            brackets = place is not None and getattr(place.node, "flow_style", False) and not place.can_open
            flat = ["sh", "-c", script(marker, one_line=True), "sh"]
            listed = flat if brackets else ["sh", "-c", script(marker, one_line=False), "sh"]
            changes = _put_before(service, stack.wrap, listed, flat, config)
            test = ["CMD-SHELL", f"test -f {marker}"]
            if service.text("init") != "true":
                changes.append(Change(init.name, ("init",), True))
    wired = wiring.healthcheck(init, stack, test, tmpfs=tmpfs)
    return [*changes, *wiring.restart(init), *wired, *wiring.dependents(init)], None, note


def _by_hand(remedy: str) -> Way:
    return [], remedy, None


def _without_once(service: Service) -> list[Change]:
    changes: list[Change] = []
    for field in ("entrypoint", "command"):
        value = service.value(field)
        if isinstance(value, Sequence) and any(plain(item) == "--once" for item in value.items):
            rest = plain(value)
            rest.remove("--once")
            changes.append(Change(service.name, (field,), rest))
        elif isinstance(value, Scalar) and " --once" in value.text:
            changes.append(Change(service.name, (field,), value.text.replace(" --once", "", 1)))
    if service.value("environment", "INITHOLD_ONCE") is not None:
        changes.append(Change(service.name, ("environment", "INITHOLD_ONCE"), DELETE))
    return changes


def script(marker: str, *, one_line: bool) -> str:
    """Return the portable wrapper: a POSIX shell script that runs its arguments, publishes the marker and holds.

    SIGTERM, SIGINT and SIGQUIT stop the running command and end the hold at once. `$` is doubled for Compose.
    """
    lines = [
        f"m={marker}",
        'rm -f "$m" || exit 1',
        "t=",
        # `$!`, not `$p`: a signal may arrive before `p` is set. Always SIGTERM: background commands of a shell
        # ignore SIGINT and SIGQUIT, which some images use as STOPSIGNAL.
        'stop() { t=$1; kill "$!" 2>/dev/null; }',
        'trap "stop 143" TERM',
        'trap "stop 130" INT',
        'trap "stop 131" QUIT',
        # A shell redirects the stdin of background commands from /dev/null: pass on the container's.
        "exec 3<&0",
        '"$@" <&3 3<&- & p=$!',
        "exec 3<&-",
        'if [ "$t" ]; then kill "$p"; fi',
        'wait "$p"',
        "c=$?",
        'if [ "$t" ]; then wait "$p"; exit "$t"; fi',
        'if [ "$c" != 0 ]; then echo "inithold: the command failed with exit code $c" >&2; exit 1; fi',
        # SIGKILL: between fork and exec the child would run the shell's own trap.
        'end() { kill -9 "$!" 2>/dev/null; exit 0; }',
        "trap end TERM INT QUIT",
        'echo ready > "$m" || exit 1',
        'while true; do sleep 86400 & wait "$!"; done',
    ]
    joined = "; ".join(lines) if one_line else "\n".join(lines) + "\n"
    return joined.replace("$", "$$")


def _put_before(
    service: Service, form: Wrap, listed: list[str], flat: list[str], image: ImageConfig | None
) -> list[Change]:
    entrypoint, command = service.value("entrypoint"), service.value("command")
    given = escaped(image.entrypoint) or () if image and entrypoint is None else ()
    default = escaped(image.command) or () if image and _empty(command) else ()
    if not has_no_words(entrypoint):
        return [Change(service.name, ("entrypoint",), _prefixed(entrypoint, listed, flat))]
    if form is Wrap.INITHOLD and not given:
        value = [*listed, *default] if default else _prefixed(command, listed, flat)
        return [Change(service.name, ("command",), value)]
    changes = [Change(service.name, ("entrypoint",), [*listed, *given])]
    if default:
        # With an entrypoint in the service, the engine ignores the image's CMD.
        changes.append(Change(service.name, ("command",), list(default)))
    return changes


def _prefixed(value: Value | None, listed: list[str], flat: list[str]) -> Any:
    if isinstance(value, Sequence):
        return [*listed, *(item.data for item in value.items if isinstance(item, Scalar))]
    if not isinstance(value, Scalar):
        return listed
    parts, dropped = split(value.text)
    # A variable may expand to several words, so a string that has one must stay a string.
    if any("\n" in item for item in listed) and not dropped and "$" not in value.text:
        return [*listed, *parts]
    quoted = [part if re.fullmatch(r"[\w/.:-]+", part) else f"'{part}'" for part in flat]
    return f"{' '.join(quoted)} {value.text}"


def _empty(value: Value | None) -> bool:
    if isinstance(value, Scalar):
        return not value.text.strip()
    return value is None or (isinstance(value, Sequence) and not value.items)
