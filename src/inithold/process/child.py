"""Runs a command in its own process group, streams its output, and makes sure that the whole group ends."""

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
"""Lines of output that a failure repeats."""
_TAIL_WIDTH = 500
_QUIET = 200
"""Milliseconds of silence after the command's end, after which its output is no longer read."""
_LINGERING = 0.5
"""Most seconds to read on after the command's end."""
_GUARDS: list[int] = []
"""Guard pipes of groups that outlived their leader, kept open so that the groups end with this process."""


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: exit code; -N if signal N ended it.
        tail: its last lines of output; None if its output was not read.
    """

    code: int
    tail: tuple[str, ...] | None

    def last_output(self) -> str:
        """Its last output, to append to a message that says how it ended."""
        if self.tail is None:
            return ""
        if not self.tail:
            return ", with no output"
        # On separate lines, because some displays show only a message's first line.
        return "\n".join(["", "its last output:", *(f"  {line}" for line in self.tail)])


def run(
    command: Sequence[str],
    context: Bounds,
    *,
    cwd: str | None,
    env: Mapping[str, str],
    say: Callable[[str], None],
) -> Ended:
    """Run a command to its end, with empty standard input, and standard error merged into standard output.

    Args:
        context: the step's context; when it is told to stop, the whole process group is ended.
        env: the whole environment.
        say: called with each line of output.

    Raises:
        Interrupted: the step was told to stop; the message holds the last lines.
        OSError: the command cannot be started.
    """
    child = _Child(
        command,
        context,
        own=True,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return child.follow({child.process.stdout: None}, say)


def run_passed_through(
    command: Sequence[str], context: Bounds, *, cwd: str | None, env: Mapping[str, str]
) -> Ended:
    """Like `run`, but on this process's own standard streams, byte for byte.

    Outputs that are not a terminal go through this process, which keeps the last lines. If standard input is a
    terminal, the command stays in this process's group, because only the foreground group may read from it.
    """
    own = not os.isatty(0)
    one = os.path.sameopenfile(1, 2)
    child = _Child(
        command,
        context,
        own=own,
        cwd=cwd,
        env=env,
        process_group=0 if own else None,
        stdout=None if os.isatty(1) else subprocess.PIPE,
        stderr=None if os.isatty(2) else subprocess.STDOUT if one else subprocess.PIPE,
    )
    return child.follow({child.process.stdout: 1, child.process.stderr: 2}, lambda _: None)


def _started(command: Sequence[str], *, own: bool, **options: Any) -> tuple[subprocess.Popen[bytes], int | None]:
    """Start a command that is killed when this process ends in any way; with `own`, its whole group is.

    Returns:
        the process, and the guard pipe: when it closes, the group is killed.
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


class _Child:
    """A running command. It and its group end when the step is told to stop, or when this code itself fails.

    Args:
        own: whether the process leads its own group; otherwise only the process is ended.
    """

    def __init__(self, command: Sequence[str], context: Bounds, *, own: bool, **options: Any) -> None:
        context.check_cancelled()
        self.process, self._guard = _started(command, own=own, **options)
        self._context = context
        self._own = own
        self._ending = Event()
        """Set once the group has been told to end."""
        self._killed = Event()
        self._timer = Timer(GRACE, self._kill)
        self._timer.daemon = True

    def follow(self, outputs: Mapping[IO[bytes] | None, int | None], say: Callable[[str], None]) -> Ended:
        """Follow the command to its end.

        Args:
            outputs: its outputs, each with the descriptor to copy it to, if any.
            say: called with each line of output.
        """
        sources = {stream.fileno(): (stream, target) for stream, target in outputs.items() if stream is not None}
        if self._own:
            RUNNING.add(self.process.pid)
        with self.process:
            try:
                with self._context.on_cancel(self._terminate):
                    tail = self._relay(sources, say)
                    for stream, _ in sources.values():
                        stream.close()
                    code = self._wait()
            finally:
                self._end()
        ended = Ended(code, tuple(tail) if sources else None)
        try:
            self._context.check_cancelled()
        except Interrupted as stopped:
            if sources:
                raise Interrupted(f"still running{ended.last_output()}") from stopped
            raise
        return ended

    def _relay(
        self, sources: Mapping[int, tuple[IO[bytes], int | None]], say: Callable[[str], None]
    ) -> deque[str]:
        """Read the outputs until they end, or until the command has ended and another process keeps them open.

        Returns:
            the last lines.
        """
        tail: deque[str] = deque(maxlen=TAIL)
        lines = Lines()

        def take(line: str) -> None:
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
                if not data or (target is not None and not self._copy(target, data)):
                    # If our reader is gone, close: the command's next write fails as if connected directly.
                    poll.unregister(source)
                    open_.remove(source)
                    stream.close()
                for line in lines.feed(data):
                    take(line)
            for state in lines.progress_due():
                say(state)
            if until is None and self.process.poll() is not None:
                until = time.monotonic() + _LINGERING
            elif until is not None and (not ready or time.monotonic() > until):
                say("(a process it started keeps its output open; what that writes is not shown)")
                break
        for line in lines.end():
            take(line)
        return tail

    def _copy(self, target: int, data: bytes) -> bool:
        """Write to a descriptor whose reader may be slow or hang; false if the reader is gone."""
        poll = select.poll()
        poll.register(target, select.POLLOUT)
        while data:
            if not poll.poll(_QUIET):
                if self._ending.is_set():
                    return True
                continue
            try:
                data = data[os.write(target, data[: select.PIPE_BUF]) :]
            except OSError:
                return False
        return True

    def _wait(self) -> int:
        """Wait for the process, and for its group if that is being ended."""
        code = self.process.wait()
        while self._own and self._ending.is_set() and self._lives() and not self._killed.wait(0.02):
            pass
        return code

    def _end(self) -> None:
        self._timer.cancel()
        # A leader that was killed cannot end its children.
        if (code := self.process.poll()) is None or code < 0:
            self._kill()
        RUNNING.discard(self.process.pid)
        if self._guard is None:
            return
        if self._lives():
            _GUARDS.append(self._guard)
            return
        with suppress(OSError):
            os.write(self._guard, b".")
        os.close(self._guard)

    def _lives(self) -> bool:
        """Whether the group has a process that is not a zombie; without /proc, zombies count."""
        # Zombies stay in the group until PID 1, their new parent, reaps them; some PID 1 never do.
        if not (exists := self._signal(0)) or not Path("/proc/self/stat").exists():
            return exists
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # After the name in parentheses, which may contain anything: state, parent, group.
                state, _, member_of = file.read_text(errors="replace").rpartition(")")[2].split()[:3]
                if int(member_of) == self.process.pid and state not in "ZX":
                    return True
        return False

    def _terminate(self) -> None:
        if not self._ending.is_set():
            self._ending.set()
            self._timer.start()
            self._signal(signal.SIGTERM)
            # A stopped process handles SIGTERM only once it continues.
            self._signal(signal.SIGCONT)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._killed.set()

    def _signal(self, number: int) -> bool:
        """Send a signal; false if there was no process to receive it."""
        with suppress(ProcessLookupError, PermissionError):
            if self._own:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
            return True
        return False
