"""A helper process (`process.satellite`) that is forked before there is work for it.

It has what this process has imported; a new interpreter would first import it again.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from inithold.process.dies_with_parent import die_with
from inithold.process.satellite import DEFAULT_SIGNALS, INPUT, OUTPUT, Launched, module_of, serve, with_pipes

if TYPE_CHECKING:
    from collections.abc import Sequence

_forked: dict[str, Launched] = {}
"""Processes that `fork_ahead` has started, and `forked` has not yet handed out."""


def fork_ahead(name: str) -> None:
    """Fork a process that waits for its first message; `forked` hands it out. Its outputs are captured.

    Call this before the user's code is imported. Does nothing elsewhere than on Linux, and in a process with
    several threads, whose locks would be copied as they are.
    """
    if sys.platform != "linux":
        return
    parent = os.getpid()

    def start(descriptors: Sequence[tuple[int, int]]) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # otherwise the child would write it again
        pid = os.fork()
        if pid == 0:
            try:
                _wait_for_work(name, descriptors, parent)
                serve(name)
            except BaseException:  # noqa: BLE001 - nothing may run on in the fork
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(1)
        return pid

    try:
        # A thread that has done its work may take a moment to end.
        for _ in range(10):
            if len(os.listdir("/proc/self/task")) == 1:  # noqa: PTH208 - `pathlib` is slow
                _forked[name] = with_pipes(start, captured=True)
                return
            time.sleep(0.001)
    except OSError:
        return  # no /proc, or no process to be had now


def forked(name: str) -> Launched | None:
    """Hand out what `fork_ahead` has started, from any thread; None if there is none, or it has ended."""
    launched = _forked.pop(name, None)
    if launched is None or not _ended(launched, os.WNOHANG):
        return launched
    launched.close()
    return None


def end_forked() -> None:
    """End what `fork_ahead` has started and nobody wanted."""
    while _forked:
        _, launched = _forked.popitem()
        launched.close()
        if not _ended(launched, os.WNOHANG):
            os.kill(launched.pid, signal.SIGKILL)
            _ended(launched, 0)


def _ended(launched: Launched, options: int) -> bool:
    try:
        return os.waitpid(launched.pid, options) != (0, 0)
    except ChildProcessError:
        return True  # reaped by the kernel, where SIGCHLD is ignored


def _wait_for_work(name: str, descriptors: Sequence[tuple[int, int]], parent: int) -> None:
    """In a forked child: be as a started process is, and wait for the first message."""
    die_with(parent)
    os.setpgid(0, 0)
    for number in DEFAULT_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nowhere, 0), *descriptors):
        os.dup2(source, target)
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - as above
        if int(entry) > OUTPUT:
            with suppress(OSError):  # the one that listed them is closed
                os.close(int(entry))
    sys.stdout, sys.stderr = (open(each, "w", 1, errors="backslashreplace", closefd=False) for each in (1, 2))  # noqa: SIM115
    import_module(module_of(name))
    # What is there now stays; to collect it would only copy its memory.
    gc.freeze()
    select.select([INPUT], [], [])
