"""The front door. What must be quick is answered here, before the command-line framework is imported."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` itself takes some milliseconds
import os
import sys

from inithold.process import streams


def main() -> None:
    """Run the command line; ends the process."""
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        # Not one that is ignored, as nohup has it.
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    streams.prepare()
    if sys.argv[1:2] == ["wait"]:
        streams.expect_no_reader()
    code = _answered(sys.argv[1:])
    # Without waiting for threads: code of the user's that will not stop must not keep the process.
    os._exit(streams.end(code))


def _end(number: int, _frame: object) -> None:
    """What a signal does before a run or a gate takes care of it: nothing has begun yet that needs an end."""
    os._exit(128 + number)


def _answered(arguments: list[str]) -> int:
    command, own = (arguments or [""])[0], arguments[1:]
    code: int | None = None
    if command == "run":
        _before_run(own)
    elif command == "health":
        from inithold.marker.health import main as health  # noqa: PLC0415

        code = health(own)
    elif command == "status":
        from inithold.record.status import main as status  # noqa: PLC0415

        code = status(own)
    elif command == "wait":
        from inithold.lifecycle.quick_wait import answer as wait  # noqa: PLC0415

        code = wait(own)
    if code is not None:
        return code
    from inithold.process.imports import collect_less_often  # noqa: PLC0415 - not for what was answered above

    collect_less_often()
    from inithold.cli import main as command_line  # noqa: PLC0415 - slow

    return command_line()


def _before_run(arguments: list[str]) -> None:
    """As PID 1, leave this process to reap; and drop the stale marker, before anything heavy is imported.

    One that another living process vouches for stays: whether this run is refused is not known yet. A repair
    leaves every marker alone, and so does a check of a hold.
    """
    from inithold.hold.verifier import CHECK_VARIABLE  # noqa: PLC0415

    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if CHECK_VARIABLE in os.environ or "--help" in own or "-h" in own:
        return
    from inithold.hold.reaper import REAPER  # noqa: PLC0415
    from inithold.marker.file import path_from  # noqa: PLC0415
    from inithold.marker.owner import drop_stale  # noqa: PLC0415

    # The first one that has a value, in either form.
    marker: str | None = None
    for argument, following in zip(own, [*own[1:], None], strict=False):
        name, equals, value = argument.partition("=")
        if marker is None and name == "--marker":
            marker = value if equals else following
    try:
        if not any(argument.partition("=")[0] in ("--only", "--from") for argument in own):
            drop_stale(path_from(marker), os.getpid())
    except OSError:
        # Reported with what to do when the run claims the marker.
        return
    finally:
        REAPER.split()


if __name__ == "__main__":
    main()
