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
_QUIET = 0.2
"""Seconds of silence after its end: what still holds its output by then is not its own."""
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

    def told(self) -> str:
        """What it said last, to be put behind how it ended."""
        return "" if self.tail is None else _told(self.tail)


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
    output = _Output(say)
    with process, _Group(process, context, guard, own=True) as group:
        output.follow(process)
        if process.stdout is not None:
            process.stdout.close()
        code = group.wait()
    _raise_if_stopped(context, output.tail)
    return Ended(code, tuple(output.tail))


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
    copies = [
        (stream, target) for stream, target in ((process.stdout, 1), (process.stderr, 2)) if stream is not None
    ]
    output = _Output(lambda _: None)
    with process, _Group(process, context, guard, own=own) as group:
        output.copy(process, copies, group)
        code = group.wait()
    if not copies:
        context.check_cancelled()
        return Ended(code, None)
    _raise_if_stopped(context, output.tail)
    return Ended(code, tuple(output.tail))


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


def _told(tail: Sequence[str]) -> str:
    if not tail:
        return ", and said nothing"
    # Lines of their own: the first tells enough where there is room for one alone.
    return "\n".join(["", "its last output:", *(f"  {line}" for line in tail)])


def _raise_if_stopped(context: Bounds, tail: Sequence[str]) -> None:
    try:
        context.check_cancelled()
    except Interrupted as stopped:
        raise Interrupted(f"still running{_told(tail)}") from stopped


class _Output:
    """Says what a process writes, and remembers the end of it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._say = say
        self._lines = Lines()
        self._said_at = time.monotonic()

    def follow(self, process: subprocess.Popen[bytes]) -> None:
        """Read until its output ends, or it has ended itself and somebody else keeps its output open."""
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        pipe = process.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        last_at: float | None = None
        while True:
            ready = poll.poll(int(_QUIET * 1000))
            data = os.read(pipe, 65536) if ready else b""
            if ready and not data:
                break
            self._take(data)
            if last_at is None and process.poll() is not None:
                last_at = time.monotonic() + _LINGERING
            elif last_at is not None and (not ready or time.monotonic() > last_at):
                self._say("(a process it started keeps its output open; what that writes is not shown)")
                break
        for line in self._lines.end():
            self._line(line)

    def copy(
        self, process: subprocess.Popen[bytes], copies: Sequence[tuple[IO[bytes], int]], group: _Group
    ) -> None:
        """Write what comes in at each stream to a descriptor; see `follow` for the end of it."""
        open_ = {stream.fileno(): (stream, target) for stream, target in copies}
        poll = select.poll()
        for source in open_:
            poll.register(source, select.POLLIN)
        last_at: float | None = None
        while open_:
            ready = poll.poll(int(_QUIET * 1000))
            for source, _ in ready:
                data = os.read(source, 65536)
                stream, target = open_[source]
                if not data or not _write(target, data, group):
                    # Where nobody reads any more, the command's next write fails, as if nobody stood between.
                    poll.unregister(source)
                    del open_[source]
                    stream.close()
                self._take(data)
            if last_at is None and process.poll() is not None:
                last_at = time.monotonic() + _LINGERING
            elif last_at is not None and (not ready or time.monotonic() > last_at):
                break
        for stream, _ in open_.values():
            stream.close()
        for line in self._lines.end():
            self._line(line)

    def _take(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._line(line)
        if time.monotonic() - self._said_at >= _PROGRESS_INTERVAL and (state := self._lines.progress):
            self._said_at = time.monotonic()
            self._say(state)

    def _line(self, line: str) -> None:
        self._said_at = time.monotonic()
        self._say(line)
        if line:
            self.tail.append(line if len(line) <= _TAIL_WIDTH else f"{line[:_TAIL_WIDTH]}...")


def _write(target: int, data: bytes, group: _Group) -> bool:
    """Write to a descriptor whose reader may be slow, or never read; whether there is one who may."""
    poll = select.poll()
    poll.register(target, select.POLLOUT)
    while data:
        if not poll.poll(int(_QUIET * 1000)):
            if group.ending:
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
        self._asked = Event()
        self._killed = Event()
        self._timer = Timer(GRACE, self._kill)
        self._timer.daemon = True
        self._cancelling = context.on_cancel(self._terminate)

    def __enter__(self) -> _Group:
        if self._own:
            RUNNING.add(self._process.pid)
        self._cancelling.__enter__()
        return self

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

    @property
    def ending(self) -> bool:
        """Whether it has been told to end."""
        return self._asked.is_set()

    def wait(self) -> int:
        """Wait for the process and, where it is being ended, for its group."""
        code = self._process.wait()
        while self._own and self._asked.is_set() and self._lives() and not self._killed.wait(0.02):
            pass
        return code

    def _lives(self) -> bool:
        # Members that have ended stay in the group until their new parent, process 1, takes note; some never do.
        return self._signal(0) and _has_running_member(self._process.pid)

    def _terminate(self) -> None:
        if not self._asked.is_set():
            self._asked.set()
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
    proc = Path("/proc")
    if not (proc / "self/stat").exists():
        return True
    for file in proc.glob("[0-9]*/stat"):
        with suppress(OSError):
            # Behind the name in parentheses, which may hold anything: state, parent, group (proc_pid_stat(5)).
            state, _, member_of = file.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(member_of) == group and state not in "ZX":
                return True
    return False
