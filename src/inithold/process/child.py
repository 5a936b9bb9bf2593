"""Run a command in its own process group; stream its output; make sure that it ends, and all it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Timer
from typing import IO, Any, NamedTuple

from inithold.errors import Interrupted
from inithold.net.bounds import Bounds
from inithold.process import dies_with_parent
from inithold.process.signals import RUNNING
from inithold.redaction.sanitize import Lines

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""
TAIL = 20
"""Lines of output that a failure tells again."""
_TAIL_WIDTH = 500
_QUIET = 200
"""Milliseconds of silence after its end: what still holds its output by then is not its own."""
_LINGERING = 0.5
"""Seconds that is listened to after its end at most."""
_PROGRESS_INTERVAL = 5.0
_GUARDS: list[int] = []
"""Pipes to the guards of groups that have outlived their leader: these end with this process."""


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: exit code; -N where signal N ended it.
        tail: its last lines; None where nobody read them.
    """

    code: int
    tail: tuple[str, ...] | None

    def last_output(self) -> str:
        """What it said last, to be put behind how it ended."""
        if self.tail is None:
            return ""
        if not self.tail:
            return ", with no output"
        # Lines of their own: the first tells enough where there is room for one alone.
        return "\n".join(["", "its last output:", *(f"  {line}" for line in self.tail)])


def run(
    command: Sequence[str],
    context: Bounds,
    *,
    cwd: str | None,
    env: Mapping[str, str],
    say: Callable[[str], None],
) -> Ended:
    """Run a command to its end, standard input empty, both outputs as one.

    Args:
        command: program and arguments.
        context: of the step; when it is told to stop, the whole process group is ended.
        cwd: working directory.
        env: the whole environment.
        say: takes each line of output.

    Raises:
        Interrupted: the step was told to stop; the message holds the last lines.
        OSError: the command cannot be started.
    """
    context.check_cancelled()
    process, guard = _started(
        command,
        own=True,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return _run(process, {process.stdout: None}, _Group(process, context, guard, own=True), context, say)


def run_passed_through(
    command: Sequence[str], context: Bounds, *, cwd: str | None, env: Mapping[str, str]
) -> Ended:
    """Run a command to its end on this process's own standard input and outputs, byte for byte.

    What is no terminal goes through this process, which remembers the last lines. At a terminal it stays in this
    process's group, since only that may read from the terminal; see `run`.
    """
    context.check_cancelled()
    own = not os.isatty(0)
    one = os.path.sameopenfile(1, 2)
    process, guard = _started(
        command,
        own=own,
        cwd=cwd,
        env=env,
        process_group=0 if own else None,
        stdout=None if os.isatty(1) else subprocess.PIPE,
        stderr=None if os.isatty(2) else subprocess.STDOUT if one else subprocess.PIPE,
    )
    copied = {process.stdout: 1, process.stderr: 2}
    return _run(process, copied, _Group(process, context, guard, own=own), context, lambda _: None)


def _started(command: Sequence[str], *, own: bool, **options: Any) -> tuple[subprocess.Popen[bytes], int | None]:
    """Start a command that ends with this process, however that ends, and with it its group where that is its own.

    Returns:
        the process, and the pipe whose end is the group's end.
    """
    if sys.platform != "linux":
        return subprocess.Popen(command, **options), None
    listening, speaking = os.pipe()
    watched, guard = os.pipe() if own else (-1, None)
    passed = (speaking, watched) if own else (speaking,)
    try:
        arguments = dies_with_parent.command(list(command), speaking, watched)
        process = subprocess.Popen(arguments, pass_fds=passed, **options)
    except BaseException:
        os.close(listening)
        if guard is not None:
            os.close(guard)
        raise
    finally:
        for descriptor in passed:
            os.close(descriptor)
    with open(listening, "rb") as refused:  # noqa: PTH123 - a descriptor
        number = refused.read()
    if number:
        process.wait()
        if guard is not None:
            os.close(guard)
        if process.stdout is not None:
            process.stdout.close()
        raise OSError(int(number), os.strerror(int(number)), command[0])
    return process, guard


def _run(
    process: subprocess.Popen[bytes],
    streams: Mapping[IO[bytes] | None, int | None],
    group: _Group,
    context: Bounds,
    say: Callable[[str], None],
) -> Ended:
    """See a process to its end.

    Args:
        process: it.
        streams: its outputs, each with the descriptor to which it is copied, if any.
        group: it and all it has started.
        context: of the step.
        say: takes each line.
    """
    sources = {stream.fileno(): (stream, target) for stream, target in streams.items() if stream is not None}
    with process, group:
        tail = _relay(process, sources, group, say)
        for stream, _ in sources.values():
            stream.close()
        code = group.wait()
    ended = Ended(code, tuple(tail) if sources else None)
    try:
        context.check_cancelled()
    except Interrupted as stopped:
        if sources:
            raise Interrupted(f"still running{ended.last_output()}") from stopped
        raise
    return ended


def _relay(
    process: subprocess.Popen[bytes],
    sources: Mapping[int, tuple[IO[bytes], int | None]],
    group: _Group,
    say: Callable[[str], None],
) -> deque[str]:
    """Read until its outputs end, or it has ended itself and somebody else keeps them open.

    Returns:
        the last lines.
    """
    tail: deque[str] = deque(maxlen=TAIL)
    lines = Lines()
    said_at = time.monotonic()

    def take(line: str) -> None:
        nonlocal said_at
        said_at = time.monotonic()
        say(line)
        if line:
            tail.append(line if len(line) <= _TAIL_WIDTH else f"{line[:_TAIL_WIDTH]}...")

    open_ = set(sources)
    poll = select.poll()
    for source in open_:
        poll.register(source, select.POLLIN)
    until: float | None = None
    while open_:
        ready = poll.poll(_QUIET)
        for source, _ in ready:
            data = os.read(source, 65536)
            stream, target = sources[source]
            if not data or (target is not None and not _write(target, data, group)):
                # Where nobody reads any more, the command's next write fails, as if nobody stood between.
                poll.unregister(source)
                open_.remove(source)
                stream.close()
            for line in lines.feed(data):
                take(line)
        if time.monotonic() - said_at >= _PROGRESS_INTERVAL and (state := lines.progress):
            said_at = time.monotonic()
            say(state)
        if until is None and process.poll() is not None:
            until = time.monotonic() + _LINGERING
        elif until is not None and (not ready or time.monotonic() > until):
            say("(a process it started keeps its output open; what that writes is not shown)")
            break
    for line in lines.end():
        take(line)
    return tail


def _write(target: int, data: bytes, group: _Group) -> bool:
    """Write to a descriptor whose reader may be slow, or never read; whether there is one who may."""
    poll = select.poll()
    poll.register(target, select.POLLOUT)
    while data:
        if not poll.poll(_QUIET):
            if group.ending.is_set():
                return True
            continue
        try:
            data = data[os.write(target, data[: select.PIPE_BUF]) :]
        except OSError:
            return False
    return True


class _Group:
    """Ends a process and all of its group when the step is told to stop, or when this code itself fails.

    Args:
        process: the leader.
        context: of the step.
        guard: the pipe whose end is the group's end, see `_started`.
        own: whether the process leads a group of its own; else only it is ended.
    """

    def __init__(self, process: subprocess.Popen[bytes], context: Bounds, guard: int | None, *, own: bool) -> None:
        self._process = process
        self._guard = guard
        self._own = own
        self.ending = Event()
        """Set once it has been told to end."""
        self._killed = Event()
        self._timer = Timer(GRACE, self._kill)
        self._timer.daemon = True
        self._cancelling = context.on_cancel(self._terminate)

    def __enter__(self) -> None:
        if self._own:
            RUNNING.add(self._process.pid)
        self._cancelling.__enter__()

    def __exit__(self, *error: object) -> None:
        self._cancelling.__exit__(None, None, None)
        self._timer.cancel()
        # Where the leader was killed, nobody is left to end the others.
        if (code := self._process.poll()) is None or code < 0:
            self._kill()
        RUNNING.discard(self._process.pid)
        if self._guard is None:
            return
        if self._lives():
            _GUARDS.append(self._guard)
            return
        with suppress(OSError):
            os.write(self._guard, b".")
        os.close(self._guard)

    def wait(self) -> int:
        """Wait for the process and, where it is being ended, for its group."""
        code = self._process.wait()
        while self._own and self.ending.is_set() and self._lives() and not self._killed.wait(0.02):
            pass
        return code

    def _lives(self) -> bool:
        # Members that have ended stay in the group until their new parent, process 1, takes note; some never do.
        return self._signal(0) and _has_running_member(self._process.pid)

    def _terminate(self) -> None:
        if not self.ending.is_set():
            self.ending.set()
            self._timer.start()
            self._signal(signal.SIGTERM)
            # A stopped process takes no notice otherwise.
            self._signal(signal.SIGCONT)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._killed.set()

    def _signal(self, number: int) -> bool:
        """Send a signal; whether there was anybody to take it."""
        with suppress(ProcessLookupError, PermissionError):
            if self._own:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
            return True
        return False


def _has_running_member(group: int) -> bool:
    """Whether a process of the group is more than a zombie; true where the system does not tell."""
    if not Path("/proc/self/stat").exists():
        return True
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # Behind the name in parentheses, which may hold anything: state, parent, group (proc_pid_stat(5)).
            state, _, member_of = file.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(member_of) == group and state not in "ZX":
                return True
    return False
