"""Helper processes of a run: workers for the user's code, the telemetry sender, the watchdog.

One mechanism starts them all: `python -m inithold.process.satellite NAME PARENT`. NAME is one of `PROGRAMS`, or a
module name. Its function `main(channel: Channel) -> int` runs in the main thread of the new process. Both ends of
the protocol are in this file. `process.forked` starts one that has what this process has imported.

The parent's side is cheap to import (little of the standard library), because PID 1 imports it.

What it guarantees:

- Messages (JSON, one a line) go through two dedicated descriptors, which neither executed programs nor forked
  children inherit. Standard input is /dev/null.
- With `captured=True` both standard outputs go to `on_output`, line by line. Otherwise they are the parent's.
- A satellite leads its own process group, with no signal blocked or ignored: Ctrl-C at a terminal is for the run.
- On Linux it is killed when its parent ends in any way (not when the parent execs: a holder keeps the sender). The
  kernel watches the launching thread, so call `launch` from the main thread, or through `from_lasting_thread`.
  Elsewhere, a satellite notices only the end of its input.
- Its arguments contain no secrets, and its environment is the parent's.
"""

from __future__ import annotations

import os
import signal
import sys
import time

TYPE_CHECKING = False
"""`typing` is slow to import, like the modules imported inside functions: PID 1 needs only `launch`."""
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    Message = dict[str, Any]

PROGRAMS = {
    "worker": "inithold.runner.worker_process",
    "sender": "inithold.watchers.telemetry.sender",
    "watchdog": "inithold.lifecycle.watchdog",
}
INPUT, OUTPUT = 3, 4
"""The protocol's descriptors at the start; the new process at once moves them to `_MOVED_ABOVE` or higher."""
_MOVED_ABOVE = 100
DEFAULT_SIGNALS = [
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD),
    *(signal.SIGUSR1, signal.SIGUSR2),
]
_READ_LIMIT = 1 << 20
_LINGERING = 0.5
"""Seconds to read on after its end if a process that it started keeps its output open."""


class Launched:
    """A process that was started.

    Args:
        pid: its process id and process group.
        input: descriptor to write messages to.
        output: descriptor to read messages from.
        captured: descriptor to read its standard outputs from; -1 if they are not captured.
    """

    def __init__(self, pid: int, input: int, output: int, captured: int) -> None:  # noqa: A002 - its word
        self.pid = pid
        self.input = input
        self.output = output
        self.captured = captured

    def close(self) -> None:
        """Close the descriptors, which tells the process to end."""
        for descriptor in (self.input, self.output, self.captured):
            if descriptor >= 0:
                os.close(descriptor)


def launch(name: str, *, captured: bool = False, lasting: bool = False) -> Launched:
    """Start a program; see the module's docstring for which threads may call this.

    Args:
        name: a key of `PROGRAMS`, or a module.
        captured: whether to capture its standard outputs; otherwise it uses this process's.
        lasting: whether it may outlive this process.

    Raises:
        OSError: it cannot be started.
    """
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    # -P: files in the working directory or a script's folder must not shadow a library.
    options = ["-P", "-I"] if sys.flags.isolated else ["-P"]
    parent = "0" if lasting else str(os.getpid())

    def start(descriptors: Sequence[tuple[int, int]]) -> int:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, *options, "-m", "inithold.process.satellite", name, parent],
            os.environ,
            file_actions=[*actions, *((os.POSIX_SPAWN_DUP2, *pair) for pair in descriptors)],
            setpgroup=0,
            setsigmask=(),
            setsigdef=DEFAULT_SIGNALS,
        )

    return with_pipes(start, captured=captured)


def with_pipes(start: Callable[[Sequence[tuple[int, int]]], int], *, captured: bool) -> Launched:
    """Start a process with the protocol's pipes.

    Args:
        start: called with pairs: a descriptor, and its number in the new process; returns the process id.
        captured: as for `launch`.
    """
    import fcntl  # noqa: PLC0415

    read_input, write_input = os.pipe()
    read_output, write_output = os.pipe()
    read_captured, write_captured = os.pipe() if captured else (-1, -1)
    ours, theirs = [write_input, read_output], [read_input, write_output]
    targets = [(read_input, INPUT), (write_output, OUTPUT)]
    if captured:
        ours.append(read_captured)
        theirs.append(write_captured)
        targets += [(write_captured, 1), (write_captured, 2)]
    descriptors = []
    for source, target in targets:
        # Copy the sources above all targets, so that no dup2 overwrites a source that is still needed.
        theirs.append(fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 10))
        descriptors.append((theirs[-1], target))
    try:
        pid = start(descriptors)
    except BaseException:
        theirs += ours
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return Launched(pid, write_input, read_output, read_captured)


def from_lasting_thread(action: Callable[[], Launched]) -> Launched:
    """Run `action`, which launches a process, in a thread that lives as long as this process."""
    import threading  # noqa: PLC0415
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    if threading.current_thread() is threading.main_thread():
        return action()
    if not _launcher:
        _launcher.append(ThreadPoolExecutor(1, "inithold-launcher"))
    launched: Launched = _launcher[0].submit(action).result()
    return launched


_launcher: list[Any] = []


class Death:
    """How a process ended.

    Args:
        code: its exit code; -N if signal N ended it; None if another process reaped it.
    """

    def __init__(self, code: int | None) -> None:
        self.code = code

    def __str__(self) -> str:
        if self.code is None:
            return "ended"
        if self.code >= 0:
            return f"exited {self.code}"
        try:
            return f"was killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was killed by signal {-self.code}"


class Satellite:
    """The parent's handle on a satellite. It calls all callbacks from one separate thread.

    Args:
        on_message: called with each message.
        on_output: called with each line of captured output, before any message that was sent after it.
        on_end: called last, when the process has ended.
    """

    def __init__(
        self,
        launched: Launched,
        *,
        on_message: Callable[[Message], object],
        on_output: Callable[[str], object] = lambda _: None,
        on_end: Callable[[Death], object] = lambda _: None,
    ) -> None:
        from queue import SimpleQueue  # noqa: PLC0415
        from threading import Event, Lock, Thread  # noqa: PLC0415

        self.pid = launched.pid
        self._launched = launched
        self._on_message = on_message
        self._on_output = on_output
        self._on_end = on_end
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        self._ended = Event()
        self._death = Death(None)
        self._lock = Lock()
        self._reaped = False
        Thread(target=self._write, daemon=True, name=f"inithold-to-{self.pid}").start()
        Thread(target=self._read, daemon=True, name=f"inithold-from-{self.pid}").start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message without blocking; it is lost if the process is gone."""
        self._outgoing.put(_encoded(message))

    def close_input(self) -> None:
        """Close its input once all messages are written."""
        self._outgoing.put(None)

    def kill(self) -> None:
        """Kill it and its process group, unless it has ended."""
        with self._lock:
            if not self._reaped:
                try:
                    os.killpg(self.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    return

    def wait(self, seconds: float | None = None) -> Death | None:
        """Wait for its end, at most `seconds`; None if it is still running."""
        return self._death if self._ended.wait(seconds) else None

    # -- threads

    def _write(self) -> None:
        try:
            while (data := self._outgoing.get()) is not None:
                _write_all(self._launched.input, data)
        except OSError:
            pass
        finally:
            os.close(self._launched.input)

    def _read(self) -> None:
        try:
            self._follow()
        except ValueError:
            # Not a message: something else has written to the descriptor.
            self.kill()
        finally:
            os.close(self._launched.output)
            if self._launched.captured >= 0:
                os.close(self._launched.captured)
            waited_until = time.monotonic() + _LINGERING
            pause = 0.0005  # short at first: its output usually closes because it is exiting
            while not self._has_ended():
                if time.monotonic() > waited_until:
                    # It closed its output, so it can no longer be of use.
                    self.kill()
                time.sleep(pause)
                pause = min(2 * pause, 0.01)
            try:
                self._on_end(self._death)
            finally:
                self._ended.set()

    def _follow(self) -> None:
        """Read until both outputs end, or until it has ended and another process keeps them open."""
        import select  # noqa: PLC0415

        from inithold.redaction.sanitize import Lines  # noqa: PLC0415

        output, captured = self._launched.output, self._launched.captured
        open_ = {output, captured} - {-1}
        poll = select.poll()
        for descriptor in open_:
            os.set_blocking(descriptor, False)
            poll.register(descriptor, select.POLLIN)

        def read(descriptor: int) -> bytes:
            data = b""
            while descriptor in open_ and len(data) < _READ_LIMIT:
                try:
                    more = os.read(descriptor, 65536)
                except BlockingIOError:
                    break
                if not more:
                    poll.unregister(descriptor)
                    open_.remove(descriptor)
                data += more
            return data

        messages, lines = _Splitter(), Lines()
        until: float | None = None
        while open_ and (until is None or time.monotonic() < until):
            ready = poll.poll(200)
            # Read messages first: what was printed before a message was sent is then in the captured output.
            message_data, printed_data = read(output), read(captured)
            for line in (*lines.feed(printed_data), *lines.progress_due()):
                self._on_output(line)
            for message in messages.feed(message_data):
                self._on_message(message)
            if until is None and (output not in open_ or self._has_ended()):
                until = time.monotonic() + _LINGERING
            elif not ready and self._has_ended():
                break
        for line in lines.end():
            self._on_output(line)

    def _has_ended(self) -> bool:
        with self._lock:
            if not self._reaped:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                    if pid:
                        self._death = Death(os.waitstatus_to_exitcode(status))
                        self._reaped = True
                except ChildProcessError:
                    # Not our child, or reaped by something that reaps every child.
                    try:
                        os.kill(self.pid, 0)
                    except ProcessLookupError:
                        self._reaped = True
            return self._reaped


class Channel:
    """The satellite's end of the protocol. Any thread may send."""

    def __init__(self, input: int, output: int) -> None:  # noqa: A002 - its word
        from threading import Lock  # noqa: PLC0415

        self.input = input
        self._output = output
        self._splitter = _Splitter()
        self._received: list[Message] = []
        self._lock = Lock()
        self.open = True
        # A forked child must neither keep the descriptors open nor write to them.
        os.register_at_fork(after_in_child=self._close)

    def receive(self) -> Message | None:
        """Wait for the next message; None once the other end is closed."""
        while not self._received:
            data = os.read(self.input, 65536)
            if not data:
                return None
            self._received += self._splitter.feed(data)
        return self._received.pop(0)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message.

        Raises:
            BrokenPipeError: the parent is gone.
            ValueError: this is a forked child, which has no channel.
        """
        if not self.open:
            raise ValueError("a forked child has no channel")
        data = _encoded(message)
        with self._lock:
            _write_all(self._output, data)

    def _close(self) -> None:
        self.open = False
        for descriptor in (self.input, self._output):
            try:
                os.close(descriptor)
            except OSError:
                continue


class _Splitter:
    """Splits received bytes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        import json  # noqa: PLC0415

        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


def _encoded(message: Mapping[str, Any]) -> bytes:
    import json  # noqa: PLC0415

    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main() -> NoReturn:
    """Run a program in the new process."""
    from inithold.process.dies_with_parent import die_with  # noqa: PLC0415

    name, parent = sys.argv[1], int(sys.argv[2])
    if parent:
        die_with(parent)
    serve(name)


def module_of(name: str) -> str:
    """The module of a program."""
    return PROGRAMS.get(name, name)


def serve(name: str) -> NoReturn:
    """Run a program in this process, which has the protocol's descriptors, and exit."""
    import fcntl  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _MOVED_ABOVE) for each in (INPUT, OUTPUT)]
    os.close(INPUT)
    os.close(OUTPUT)
    code: int = import_module(module_of(name)).main(Channel(*moved))
    # Do not wait for threads: user code that does not stop must not keep the process alive.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


if __name__ == "__main__":
    main()
