"""Runs `python -m inithold` as users do: a process of its own, in an environment of only what it is given.

    run_inithold = Inithold(tmp_path)
    done = run_inithold("plan", env={"DATABASE_URL": dsn})
    assert done.returncode == 0, done.stderr

    init = run_inithold.start("run")
    init.wait_for_hold()
    init.signal(signal.SIGTERM)
    assert init.wait() == 0

Tests get one from the fixture `run_inithold`.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from servers.process import kill
from servers.run import arguments, descendants, forget, remember

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""The commands of the virtual environment first, as where it is activated."""


@dataclass(frozen=True)
class Completed:
    """A process that has ended by itself; `returncode` is -N when signal N ended it."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    """from before its start until after its end"""


class Running:
    """A process that was started; its output can be read while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: Path, stderr: Path, marker: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.marker = marker
        self.started = time.monotonic()
        self._stdout, self._stderr = stdout, stderr
        self._copier: threading.Thread | None = None

    @property
    def stdout(self) -> str:
        """What it wrote so far; at a terminal this is everything."""
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it wrote so far to standard error."""
        return self._stderr.read_text(errors="replace")

    @property
    def output(self) -> str:
        """Both, for messages of failing tests."""
        return f"{self.stdout}\n{self.stderr}"

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end and return its exit code, -N for signal N; longer is an `AssertionError`."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s:\n{self.output}") from None
        if self._copier is not None:
            self._copier.join(timeout=5)
        return code

    def copy_from(self, terminal: int) -> None:
        """Keep what it writes to its terminal."""
        self._copier = threading.Thread(target=_copy, args=(terminal, self._stdout), daemon=True)
        self._copier.start()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_until(self, true: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait until something is true; that it ends first or takes longer is an `AssertionError`."""
        deadline = time.monotonic() + seconds
        while not true():
            ended = self.process.poll()
            if ended is not None and not true():
                raise AssertionError(f"exited {ended} before {what}:\n{self.output}")
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{self.output}"
            time.sleep(0.01)

    def wait_for_marker(self, seconds: float = 30) -> None:
        """Wait until its marker is there."""
        self.wait_until(self.marker.exists, f"the marker {self.marker}", seconds)

    def wait_for_output(self, text: str, seconds: float = 30) -> None:
        """Wait until it has written this text to either stream."""
        self.wait_until(lambda: text in self.output, f"the output {text!r}", seconds)

    def wait_for_hold(self, seconds: float = 30) -> None:
        """Wait until it holds: the marker is there, and another program has taken the process over."""
        self.wait_for_marker(seconds)
        self.wait_until(lambda: not any(map(_is_inithold, (self.pid, *self.descendants()))), "the hold", seconds)

    def descendants(self) -> list[int]:
        """The processes under it that are alive."""
        return descendants(self.pid)

    def end(self) -> None:
        """Make sure that it and all it started are gone."""
        has_ended = self.process.poll() is not None
        group = [] if has_ended else self.descendants()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if has_ended:
            forget(self.pid)
            return
        kill(self.pid, *group)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)


class Inithold:
    """Starts inithold with this interpreter; knows every process it started and can end them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = folder / "init-complete"
        self._started: list[Running] = []

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
        seconds: float = 60,
        terminal: bool = False,
    ) -> Completed:
        """Run it to its end. See `start` for the arguments; `seconds` is how long it may take."""
        running = self.start(*arguments, env=env, cwd=cwd, prefix=prefix, terminal=terminal)
        code = running.wait(seconds)
        return Completed(code, running.stdout, running.stderr, time.monotonic() - running.started)

    def start(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
        terminal: bool = False,
        program: Sequence[str] = (sys.executable, "-m", "inithold"),
    ) -> Running:
        """Start it and return at once.

        `env` is its whole environment but for PATH, container and INITHOLD_MARKER (`marker`, so that parallel
        tests do not meet in /tmp); None takes a variable out. `prefix` is put before the command (`unshare ...`).
        With `terminal` it runs at a terminal of 120 columns, and all output is in `stdout`.
        """
        # `container`: hints are those of a container, also where the tests do not run in one.
        own = {"PATH": PATH, "INITHOLD_MARKER": str(self.marker), "container": "docker"}
        variables = own | dict(env or {})
        clean = {name: value for name, value in variables.items() if value is not None}
        marker = Path(clean.get("INITHOLD_MARKER", "/tmp/init-complete"))
        name = f"inithold-{len(self._started)}"
        stdout, stderr = self.folder / f".{name}.out", self.folder / f".{name}.err"
        command = [*prefix, *program, *(str(argument) for argument in arguments)]
        cwd = cwd or self.folder
        with stdout.open("wb") as out, stderr.open("wb") as err:
            if terminal:
                process, master = _start_at_terminal(command, clean, cwd)
            else:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=clean,
                    cwd=cwd,
                    start_new_session=True,
                )
        remember(process.pid)
        running = Running(process, stdout, stderr, marker)
        if terminal:
            running.copy_from(master)
        self._started.append(running)
        return running

    def end_all(self) -> None:
        """End every process that was started here."""
        for running in self._started:
            running.end()


def _start_at_terminal(command: list[str], env: dict[str, str], cwd: Path) -> tuple[subprocess.Popen[bytes], int]:
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = {"TERM": "xterm-256color"} | env
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=env, cwd=cwd, start_new_session=True
    )
    os.close(terminal)
    return process, master


def _copy(master: int, output: Path) -> None:
    with output.open("ab", buffering=0) as file, suppress(OSError):  # Linux ends a terminal with EIO
        while data := os.read(master, 65536):
            file.write(data)
    os.close(master)


def _is_inithold(pid: int) -> bool:
    """Is it the interpreter with inithold in it: neither the holder nor what it was started with (`unshare`)?"""
    command = arguments(pid)
    if not command:
        return True  # its start has not come so far; what has ended is not asked
    program = command.partition(" ")[0]
    holds = "/hold/verifier.py " in command  # which ends with the command line of the run
    return Path(program).name.startswith("python") and " -m inithold " in f"{command} " and not holds
