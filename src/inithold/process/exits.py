"""How a command ends: errors become a message and an exit code. No traceback for a user's mistake."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from inithold.errors import InitholdError, PlanError
from inithold.process.streams import let_go, lost
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import sanitize

_SAID: list[str] = []
_UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EDQUOT)


def reported(action: Callable[[], int]) -> int:
    """Run `action` and report what it raises on standard error.

    Returns:
        its exit code, or the error's.
    """
    try:
        return action()
    except InitholdError as error:
        return _ended_by(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last place that can report it
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            return lost(error)
        if limit := limit_reached(error):
            return _ended_by(limit)
        import traceback  # noqa: PLC0415 - slow to import, and hardly ever needed

        say("".join(traceback.format_exception(error)))
        say("inithold: this is a fault in inithold itself; please report it with the lines above")
        return 1


def limit_reached(error: BaseException) -> InitholdError | None:
    """What an error says that is neither the user's fault nor inithold's: the system gives no more."""
    if isinstance(error, MemoryError):
        return InitholdError(
            "out of memory: a limit is reached", hint="raise it: the container's memory, ulimit -d or -v"
        )
    no_process = isinstance(error, OSError) and error.errno == errno.EAGAIN
    if no_process or (isinstance(error, RuntimeError) and "start new thread" in str(error)):
        return InitholdError(
            "cannot start another process or thread: a limit is reached",
            hint="raise it: ulimit -u, the container's limit of processes, or its memory",
        )
    return None


def _ended_by(error: InitholdError) -> int:
    if isinstance(error, PlanError):
        # No prefix: editors and CI look for file and line at the start of the line.
        say(f"{error.message}\ninithold: the plan is refused; nothing was run")
    else:
        say(f"inithold: {error.message}")
    if error.hint:
        say(f"next: {error.hint}")
    return error.exit_code


def said() -> str:
    """Everything that `say` has printed in this process."""
    return "\n".join(_SAID)


def say(text: str) -> None:
    """Print to standard error, without secrets from this process's environment and arguments."""
    SECRETS.add_environment(os.environ)
    SECRETS.add_arguments(sys.argv[1:])
    text = sanitize(text.rstrip("\n"))
    _SAID.append(text)
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        let_go(sys.stderr)
