"""A fast path for `inithold wait URL...`: if everything is ready, answer without the command-line framework.

Each URL is checked once, as `inithold wait` would first check it. If one is not ready, or the arguments are not
simple, the full command takes over, so that waiting and messages stay in one place.
"""

from __future__ import annotations

import os
import sys
import time

from inithold.process.become import become
from inithold.process.streams import let_go
from inithold.text.duration import Duration, spoken
from inithold.text.log_line import log_line

TYPE_CHECKING = False
"""As in `typing`, which is slow to import."""
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Literal

LONGEST = 0.5
"""Most seconds for one check: the full command's timeout does not count them."""
_IGNORED = ("KEEP", "MARKER", "ONCE", "PLAN", "RECORD", "SECRETS_DIR", "VERIFY", "WAIT")
"""`INITHOLD_*` variables that only matter to other commands. With any other one set, the full command runs."""


def answer(arguments: Sequence[str]) -> int | None:
    """Answer `inithold wait ARGUMENTS`.

    Returns:
        the exit code; None: run the full command.
    """
    if any(name.startswith("INITHOLD_") and name[9:] not in _IGNORED for name in os.environ):
        return None
    own, command = list(arguments), []
    if "--" in own:
        position = own.index("--")
        own, command = own[:position], own[position + 1 :]
        if not command or " " in command[0]:
            return None
    urls: list[str] = []
    seconds = 300.0
    while own:
        word = own.pop(0)
        name, equals, value = word.partition("=")
        if name == "--timeout" and (equals or own):
            try:
                seconds = Duration.parse(value if equals else own.pop(0))
            except ValueError:
                return None
        elif word.startswith("-") or "://" not in word:
            return None
        else:
            urls.append(word)
    if not urls:
        return None
    if os.getpid() == 1:
        import signal  # noqa: PLC0415 - importing it takes as long as a connection

        # The kernel drops signals to PID 1 that have no handler.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda caught, _: os._exit(128 + caught))
    lines: list[str] = []
    try:
        for index, url in enumerate(urls, 1):
            began = time.monotonic()
            if not _is_ready(url, min(LONGEST, seconds / 2)):
                return None
            text = f"unchanged in {spoken(time.monotonic() - began)}"
            lines.append(log_line(time.time(), f"wait-{index}", text, len(f"wait-{len(urls)}")))
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - the full command will meet and report it
        return None
    try:
        sys.stderr.write("".join(lines))
        sys.stderr.flush()
    except OSError:
        let_go(sys.stderr)
    return become(command) if command else 0


def _is_ready(url: str, seconds: float) -> bool:
    scheme, _, rest = url.partition("://")
    if scheme == "tcp":
        from inithold.net.dial import dial, host_and_port  # noqa: PLC0415 - not needed for a file

        dial(*host_and_port(rest.rstrip("/")), timeout=seconds)
        return True
    if scheme == "file" and "%" not in rest:
        os.stat(rest)  # noqa: PTH116 - pathlib is slow to import
        return True
    if scheme == "http" and not any(character in rest for character in "@#"):
        from inithold.net.http import OWN_HEADERS, Request, fetch  # noqa: PLC0415 - as above

        request = Request("GET", url, OWN_HEADERS, None, 0)
        return 200 <= fetch(request, _Once(seconds), seconds).status <= 299
    from inithold.steps import registry  # noqa: PLC0415 - too slow for the cases above

    kind, fields = registry.of_url(url)
    step = registry.load(kind)(**fields)
    step.load()
    context = _Once(seconds)
    return not any(step.validate()) and not step.check(context) and not context.logged


class _Once:
    """The context of a step's only check (`inithold.StepContext`)."""

    step_id = "wait"
    only_waits = True
    connections = None
    session_lock = None

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.logged = False

    @property
    def environ(self) -> Mapping[str, str]:
        return os.environ

    def log(self, text: str, *, level: Literal["debug", "info", "warning", "error"] = "info") -> None:  # noqa: ARG002
        self.logged = True

    def remaining(self, most: float) -> float:
        return max(0.01, min(most, self._until - time.monotonic()))

    def check_cancelled(self) -> None:
        """A signal ends the process."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:  # noqa: ARG002
        from contextlib import nullcontext  # noqa: PLC0415 - loaded by now

        return nullcontext()

    def user_code(self) -> AbstractContextManager[object]:
        return self.on_cancel(bool)
