"""The entry point. Fast commands are answered here, before the command-line framework is imported."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` itself takes some milliseconds
import os
import sys

from inithold.process import streams


def main() -> None:
    """Run the command line and exit."""
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        # Keep ignored signals ignored, for nohup.
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    streams.prepare()
    if sys.argv[1:2] == ["wait"]:
        streams.expect_no_reader()
    code = _answered(sys.argv[1:])
    # Do not wait for threads: user code that does not stop must not keep the process alive.
    os._exit(streams.end(code))


def _end(number: int, _frame: object) -> None:
    """Exit on a signal that comes before the command installs its own handlers: nothing needs cleaning up yet."""
    os._exit(128 + number)


def _answered(arguments: list[str]) -> int:
    command, own = (arguments or [""])[0], arguments[1:]
    code: int | None = None
    is_check = False
    if command == "run":
        from inithold.hold.verifier import CHECK_VARIABLE  # noqa: PLC0415 - not for the fast commands

        is_check = CHECK_VARIABLE in os.environ
        if not is_check:
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
    from inithold.process.imports import collect_less_often  # noqa: PLC0415 - not for the fast commands above

    collect_less_often()
    if is_check:
        from inithold.lifecycle.verify import check_named  # noqa: PLC0415 - slow

        check_named()
    elif command == "run":
        from inithold.lifecycle.quick_run import answer as run  # noqa: PLC0415 - slow

        code = run(own)
        if code is not None:
            return code
    from inithold.cli import main as command_line  # noqa: PLC0415 - slow

    return command_line()


def _before_run(arguments: list[str]) -> None:
    """Before heavy imports: remove a stale marker and, as PID 1, fork the run.

    A marker that another living process vouches for stays, because this run may be refused. A repair leaves every
    marker alone.
    """
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--help" in own or "-h" in own:
        return
    from inithold.hold.reaper import REAPER  # noqa: PLC0415
    from inithold.marker.file import path_from  # noqa: PLC0415
    from inithold.marker.owner import drop_stale  # noqa: PLC0415

    # Take the first --marker, as `--marker PATH` or `--marker=PATH`.
    marker: str | None = None
    for argument, following in zip(own, [*own[1:], None], strict=False):
        name, equals, value = argument.partition("=")
        if marker is None and name == "--marker":
            marker = value if equals else following
    try:
        if not any(argument.partition("=")[0] in ("--only", "--from") for argument in own):
            drop_stale(path_from(marker), os.getpid())
    except OSError:
        # The run reports this, with a hint, when it claims the marker.
        return
    finally:
        REAPER.split()


if __name__ == "__main__":
    main()
