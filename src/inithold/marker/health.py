"""`inithold health`: whether this container's environment is ready.

Health checks run this constantly, so it works without the command-line framework.
"""

from __future__ import annotations

import os
import sys

from inithold.marker.file import path_from, withdrawn
from inithold.marker.identity import MOST_BYTES, parse, why_not
from inithold.process.streams import let_go, printable
from inithold.text.files import read_regular

DEFAULT_WAIT = "25s"
POLL = 0.02
"""Seconds between two looks of a blocking probe; one takes microseconds."""


def problem(path: str) -> str | None:
    """Why the environment is not ready, in one line; None if it is. `path` is the marker's."""
    try:
        data = read_regular(path, most=MOST_BYTES)
    except FileNotFoundError:
        if os.path.exists(withdrawn(path)):  # noqa: PTH110
            return "the environment is no longer as init made it (inithold status)"
        return f"there is no marker at {path}: init is still running, or has failed (inithold status)"
    except OSError as error:
        return f"cannot read the marker {path}: {error.strerror}"
    try:
        vouching = parse(data)
    except ValueError:
        return f"{path} is not an inithold marker"
    if vouching is None:
        return f"the marker {path} was left by a run that did not stay to hold (--once)"
    reason = why_not(vouching) if isinstance(vouching, dict) else "it names no process"
    return reason and f"the marker {path} is stale: {reason}"


def main(arguments: list[str]) -> int | None:
    """Answer `inithold health ARGUMENTS`.

    Returns:
        0 if ready, otherwise 1; None for `--help`, which the command-line framework answers.
    """
    if "--help" in arguments or "-h" in arguments:
        return None
    marker: str | None = None
    # --wait has no variable: INITHOLD_WAIT is the URLs that `run` waits for, in the same container.
    wait: str | None = None
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name == "--marker":
            if not equals and not rest:
                return _refuse("--marker needs a path")
            marker = value if equals else rest.pop(0)
        elif name == "--wait":
            # `--wait=25s`, `--wait 25s` or `--wait`.
            apart = not equals and rest and not rest[0].startswith("-")
            wait = rest.pop(0) if apart else value if equals else DEFAULT_WAIT
        else:
            from inithold.text.suggest import did_you_mean  # noqa: PLC0415 - only where something is wrong

            near = did_you_mean(name, ("--marker", "--wait"))
            return _refuse(f"unknown argument {name!r}{near}; see inithold health --help")
    seconds = 0.0
    if wait is not None:
        from inithold.text.duration import Duration  # noqa: PLC0415 - only a probe that waits has one

        try:
            seconds = Duration.parse(wait)
        except ValueError as error:
            return _refuse(f"--wait: {error}")
    path = path_from(marker)
    reason = problem(path)
    if reason is not None and seconds:
        from time import monotonic, sleep  # noqa: PLC0415 - built in, but not needed by most probes

        # Print now: a waiting probe is killed without warning when its container ends or its own time is up, and
        # the platform shows only what it has printed by then.
        _print(f"not ready: {reason}")
        first, until = reason, monotonic() + seconds
        while reason is not None and monotonic() < until:
            sleep(POLL)
            reason = problem(path)
        if reason == first:
            return 1
    _print("ready" if reason is None else f"not ready: {reason}")
    return 0 if reason is None else 1


def _print(line: str) -> None:
    try:
        print(printable(line), flush=True)
    except OSError:
        # The exit code is what counts.
        let_go(sys.stdout)


def _refuse(message: str) -> int:
    from inithold.process.exits import say  # noqa: PLC0415 - slow to import

    say(f"inithold health: {message}")
    # Not 2, as for other commands: the engine reserves it.
    return 1
