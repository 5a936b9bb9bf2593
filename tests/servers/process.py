"""A server's process: started in a session of its own, written down for the guard, ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from servers.run import children, forget, is_alive, kill_tree, remember


class ServerFailed(Exception):
    """A server ended instead of serving, or did not serve in time; the message carries the end of its log."""


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | None = None,
) -> int:
    """Start a server and return its process id. Its output is appended to the log file.

    It is not tied to the process that starts it: of a parallel run, the first worker starts a server for all.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            cwd=cwd or log.parent,
            user=user,
            extra_groups=[] if user else None,
        )
    remember(process.pid)
    process.returncode = 0  # keeps Popen from complaining that the process outlives it
    return process.pid


def run(command: Sequence[str | Path], *, user: str | None = None, cwd: Path | None = None) -> str:
    """Run a set-up command to its end and return its output; raises `ServerFailed` with it."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        cwd=cwd,
        user=user,
        extra_groups=[] if user else None,
    )
    if done.returncode != 0:
        raise ServerFailed(f"{command[0]} exited {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def wait_until(serves: Callable[[], bool], *, pid: int, log: Path, seconds: float = 60) -> None:
    """Wait until the server serves; raises `ServerFailed` when it ends first or takes longer."""
    deadline = time.monotonic() + seconds
    while not serves():
        if has_ended(pid):
            raise ServerFailed(f"the server ended while starting:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"the server does not serve after {seconds:g} s:\n{_tail(log)}")
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Is the process gone? Takes note of it where it is a child of ours."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return not is_alive(pid)


def stop(pid: int, number: signal.Signals = signal.SIGTERM, *, seconds: float = 30) -> None:
    """Ask a server to end and wait for it; what has not ended by then is killed with all it started."""
    family = children(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + seconds
    while not has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill(pid, *family)


def kill(*pids: int) -> None:
    """Kill processes and all they started, at once."""
    kill_tree(pids)
    for pid in pids:
        has_ended(pid)
        forget(pid)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:] if log.exists() else "(no log)"
