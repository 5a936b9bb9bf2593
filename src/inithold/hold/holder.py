"""Become the holder: exec a program that keeps nothing and costs next to nothing.

The holder is `catatonit -P`, a static pause process of a few kilobytes, if it is on PATH; otherwise a bare
interpreter without site and imports. Either reaps children and ends at once on SIGTERM and SIGINT, also as PID 1,
and has an empty environment, so that no credential stays in it. A verifying hold is the bare interpreter with
`verifier.py`, and keeps the environment that its checks need.

No signal is lost on the way. The thread that execs blocks the signals, and pending ones survive exec. But the
kernel may deliver a signal to another thread that the run has left and that does not block it. So the handlers
stay until the exec and write the signal to a pipe; the bare interpreter, which has one thread, reads the pipe
before it holds or becomes catatonit.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple, NoReturn

from inithold.errors import UsageError
from inithold.hold.verifier import CAUGHT, CHECK_VARIABLE, RERUN_VARIABLE

PAUSE = "catatonit"
_VERIFIER = os.path.join(os.path.dirname(__file__), "verifier.py")  # noqa: PTH118, PTH120

BARE = f"""\
import _signal, posix, sys
held = {{{int(signal.SIGTERM)}, {int(signal.SIGINT)}, {int(signal.SIGCHLD)}}}
_signal.pthread_sigmask(_signal.SIG_BLOCK, held)
try:
    if {{{int(signal.SIGTERM)}, {int(signal.SIGINT)}}} & {{*posix.read({CAUGHT}, 4096)}}:
        posix._exit(0)
except OSError:
    pass
posix.closerange({CAUGHT}, {CAUGHT} + 1)
try:
    if len(sys.argv) > 1:
        posix.execve(sys.argv[1], sys.argv[2:], {{}})
except OSError:
    pass
_signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
while True:
    if _signal.sigwait(held) != {int(signal.SIGCHLD)}:
        posix._exit(0)
    try:
        while posix.waitpid(-1, posix.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


class Orders(NamedTuple):
    """All that a verifying hold knows.

    Attributes:
        pace: seconds between two checks; infinite for on demand only.
        limit: seconds after which a check is killed.
        on_drift: `rerun`, `exit` or `unhealthy`.
        marker: absolute path of the marker.
        folder: working directory for the command.
        check: what a check needs to know: the value of `CHECK_VARIABLE`.
        command: the run's command line, program first.
    """

    pace: float
    limit: float
    on_drift: str
    marker: str
    folder: str
    check: str
    command: tuple[str, ...]

    @classmethod
    def of_this_process(cls, pace: float, limit: float, on_drift: str, marker: str, check: str) -> Orders:
        """Orders to check with this process's own command line, interpreter options such as `-m` included.

        Raises:
            UsageError: the working directory has been removed.
        """
        try:
            folder = os.getcwd()  # noqa: PTH109
        except FileNotFoundError:
            raise UsageError(
                "a hold that verifies starts its checks in the folder it was started in, and that folder is gone",
                hint="start it in a folder that stays",
            ) from None
        command = (sys.executable, *sys.orig_argv[1:])
        return cls(float(pace), limit, on_drift, os.path.abspath(marker), folder, check, command)  # noqa: PTH100

    def arguments(self) -> list[str]:
        """The command line of the verifier."""
        numbers = repr(self.pace), repr(self.limit)
        texts = self.on_drift, self.marker, self.folder
        return [sys.executable, "-I", "-S", _VERIFIER, *numbers, *texts, *self.command]

    def encode(self) -> bytes:
        """One line, to send to PID 1."""
        return json.dumps(self).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Orders:
        """Orders from a line of `encode`."""
        *others, command = json.loads(line)
        return cls._make((*others, tuple(command)))


def holder() -> tuple[str, list[str]]:
    """The program that holds, and its arguments: catatonit if it is on PATH, else a bare interpreter."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = os.path.join(folder or ".", PAUSE)  # noqa: PTH118
        if os.access(program, os.X_OK) and os.path.isfile(program):  # noqa: PTH113
            return program, [PAUSE, "-P"]
    return sys.executable, [sys.executable, "-I", "-S", "-c", BARE]


def holder_name() -> str:
    """The holder's name for people: `catatonit -P`, or the interpreter's name."""
    program, arguments = holder()
    return " ".join(arguments) if arguments[0] == PAUSE else os.path.basename(program)  # noqa: PTH119


def block_signals(*more: signal.Signals) -> None:
    """Block the signals that end a hold, and `more`, so that the holder gets them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, *more})


def become_holder(caught: Callable[[], Collection[int]] = tuple) -> NoReturn:
    """Exec the holder; exit instead if `caught`, asked last, returns a signal that a handler has noted."""
    block_signals()
    # An ignored signal would stay ignored across exec.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    bare = [sys.executable, "-I", "-S", "-c", BARE]
    program, arguments = holder()
    alone = _let_go()
    if caught():
        os._exit(0)
    ways = [(program, arguments), (sys.executable, bare)]
    if not alone and arguments[0] == PAUSE:
        # Go through the bare interpreter, which reads the signals that other threads have caught.
        ways.insert(0, (sys.executable, [*bare, program, *arguments]))
    for executable, words in ways:
        with suppress(OSError):
            os.execve(executable, words, {})  # noqa: S606 - that is the point
    os._exit(1)


def become_verifier(orders: Orders, caught: Callable[[], Collection[int]]) -> NoReturn:
    """Exec the verifier, as `become_holder` does the holder; a caught SIGHUP makes it run the plan at once."""
    block_signals(signal.SIGHUP)
    _let_go()
    if not {signal.SIGTERM, signal.SIGINT}.isdisjoint(caught()):
        os._exit(0)
    # The reason for this run must not become the next run's.
    os.environ.pop(RERUN_VARIABLE, None)
    # Not an argument, which others could read: the command line may come from the environment.
    os.environ[CHECK_VARIABLE] = orders.check
    if signal.SIGHUP in caught():
        # Blocked, it stays pending for the verifier. Send it to this thread, as others may not block it.
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
    os.execv(sys.executable, orders.arguments())  # noqa: S606 - that is the point


def _let_go() -> bool:
    """Leave the working directory and close descriptors; with other threads, route their signals to `CAUGHT`.

    Returns:
        whether this is the only thread, so that no other can receive a signal.
    """
    # A working directory keeps its mount busy, a descriptor its file.
    os.chdir("/")
    tasks, descriptors = _entries("/proc/self/task", [0, 0]), _entries("/proc/self/fd", [1023])
    if len(tasks) == 1:
        os.closerange(CAUGHT, max(descriptors) + 1)
        return True
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # Signals before this line are in `caught`, which the caller asks next; later ones are in the pipe.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for descriptor in range(CAUGHT, max(descriptors) + 1):
        if descriptor not in (reading, writing):
            with suppress(OSError):
                os.close(descriptor)
    if reading != CAUGHT:
        if writing == CAUGHT:
            writing = os.dup(writing)
            signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        os.dup2(reading, CAUGHT)
    os.set_inheritable(CAUGHT, True)
    return False


def _entries(folder: str, unknown: list[int]) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder)]  # noqa: PTH208
    except OSError:
        return unknown
