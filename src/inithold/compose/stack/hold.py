"""Makes a one-shot init service hold: its command, its restart policy, its healthcheck, and who waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inithold.compose.finding import DELETE, Change
from inithold.compose.read.tree import Scalar, Sequence, plain
from inithold.compose.stack import wiring
from inithold.compose.stack.command import is_inithold_image
from inithold.compose.stack.roles import Wrap
from inithold.compose.stack.servers import unready_servers
from inithold.compose.stack.wrap import needs_image, wrap

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

Way = tuple[list[Change], str | None, str | None]
"""The changes; what to do by hand where there are none; what the user has to see to once they are made."""


def make_hold(init: Init, stack: Stack) -> Way:
    """How a one-shot is made to hold, as far as `--wrap` asks for it.

    Args:
        init: the one-shot service.
        stack: with how to wrap a command, if that was asked for.
    """
    if init.command.repair:
        return _by_hand(
            "run the whole plan with `inithold run`, which holds: --only and --from are for repairs beside such a "
            "run, and end when they are done"
        )
    if init.command.inithold:
        return _without_once(init, stack)
    if stack.wrap is None:
        return _by_hand(
            "make it hold: `fix --wrap inithold` for an image that has inithold, `--wrap shell` for any with sh"
        )
    image = stack.images.name(init.service) or f"of {init.name}"
    note = None
    if stack.wrap is Wrap.INITHOLD and not is_inithold_image(image):
        if stack.images.lacks_inithold(stack.images.name(init.service)):
            return _by_hand(
                f"the image {image} does not contain inithold: install it there, build the image and fix "
                "again, or use `--wrap shell`"
            )
        note = f"the image {image} must contain inithold: `pip install inithold` where it is built"
    servers = [server for server in unready_servers(init, stack) if server.port and not server.tested]
    config = stack.images(init.service) if needs_image(init.service) else None
    wrapped = wrap(init, stack.wrap, config, servers)
    if wrapped is None:
        return _by_hand(
            "its entrypoint is the image's, which no engine here could tell: pull or build the image where docker "
            "answers, or write `entrypoint:` into the service"
        )
    wired = wiring.healthcheck(init, stack, wrapped.test, tmpfs=wrapped.tmpfs)
    return [*wrapped.changes, *wiring.restart(init), *wired, *wiring.dependents(init)], None, note


def _by_hand(remedy: str) -> Way:
    return [], remedy, None


def _without_once(init: Init, stack: Stack) -> Way:
    changes: list[Change] = []
    for field in ("entrypoint", "command"):
        value = init.service.value(field)
        if isinstance(value, Sequence) and any(plain(item) == "--once" for item in value.items):
            rest = plain(value)
            rest.remove("--once")
            changes.append(Change(init.name, (field,), rest))
        elif isinstance(value, Scalar) and " --once" in value.text:
            changes.append(Change(init.name, (field,), value.text.replace(" --once", "", 1)))
    if init.service.value("environment", "INITHOLD_ONCE") is not None:
        changes.append(Change(init.name, ("environment", "INITHOLD_ONCE"), DELETE))
    if not changes:
        return _by_hand("take --once from its command, so that it holds")
    wired = wiring.healthcheck(init, stack, wiring.test_for(init), tmpfs=False)
    return [*changes, *wiring.restart(init), *wired, *wiring.dependents(init)], None, None
