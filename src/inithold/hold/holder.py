"""Becomes the holder: the process image is replaced by one that keeps nothing and costs (next to) nothing.

`catatonit -P` is a static pause process of a few kilobytes; where it is not on PATH the interpreter is executed
again, bare: no site, no imports of its own. Either reaps children and ends at once on SIGTERM and SIGINT, also
as PID 1, with an empty environment, so that no credential stays in it. The signals are blocked across the exec:
one that comes in between is not lost.

A hold that verifies is the bare interpreter, too, with `verifier.py`, and keeps the environment its checks need.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from inithold.hold.verifier import RERUN_VARIABLE

if TYPE_CHECKING:
    from inithold.hold.orders import Orders

PAUSE = "catatonit"
_HELD = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

BARE = f"""\
import _signal, posix
wanted = {{{int(signal.SIGTERM)}, {int(signal.SIGINT)}, {int(signal.SIGCHLD)}}}
_signal.pthread_sigmask(_signal.SIG_BLOCK, wanted)
_signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
while True:
    if _signal.sigwait(wanted) != {int(signal.SIGCHLD)}:
        posix._exit(0)
    try:
        while posix.waitpid(-1, posix.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


def holder() -> tuple[str, list[str]]:
    """The program that holds and its arguments: catatonit where it is on PATH, else a bare interpreter."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = os.path.join(folder or ".", PAUSE)  # noqa: PTH118
        if os.access(program, os.X_OK) and os.path.isfile(program):  # noqa: PTH113
            return program, [PAUSE, "-P"]
    return sys.executable, [sys.executable, "-I", "-S", "-c", BARE]


def holder_name() -> str:
    """The holder, for people: `catatonit -P` or the interpreter's name."""
    program, arguments = holder()
    return " ".join(arguments) if arguments[0] == PAUSE else os.path.basename(program)  # noqa: PTH119


def block_signals(*more: signal.Signals) -> None:
    """Keep the signals that end a hold for the holder; those that came before have been handled on return.

    Args:
        more: further signals that the holder is to get.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_HELD, *more})


def become_holder() -> NoReturn:
    """Replace this process by the holder."""
    block_signals()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _let_go()
    program, arguments = holder()
    try:
        os.execve(program, arguments, {})  # noqa: S606 - that is the point
    except OSError:
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", BARE], {})  # noqa: S606


def become_verifier(orders: Orders, *, asked: bool) -> NoReturn:
    """Replace this process by the holder that verifies.

    Args:
        orders: how.
        asked: whether the plan is to be run again at once.
    """
    block_signals(signal.SIGHUP)
    _let_go()
    # It said why this run was made; the next one has its own reason.
    os.environ.pop(RERUN_VARIABLE, None)
    if asked:
        # Blocked, it is kept for the verifier; sent to this thread, since others may not block it.
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
    os.execv(sys.executable, orders.arguments())  # noqa: S606 - that is the point


def _let_go() -> None:
    """Give back what a process has of its own: handlers, the working directory, descriptors."""
    # Not SIGHUP: where it has a handler, threads that do not block it must not end the process.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # A working directory keeps its mount busy, a descriptor its file.
    os.chdir("/")
    os.closerange(3, _most_descriptors())


def _most_descriptors() -> int:
    try:
        return max(map(int, os.listdir("/proc/self/fd"))) + 1  # noqa: PTH208
    except (OSError, ValueError):
        return 1024
