"""The folder of a test run, and the guard that clears up after it.

Everything a run starts is written down in its folder. The guard is a process that waits for the end of the run
(its standard input ends with the process that made it, however that dies) and then ends what is still alive and
removes the folder. So Ctrl-C, SIGKILL and a crashed worker leave neither servers nor files behind.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_VARIABLE = "INITHOLD_TEST_RUN"
_PROC = Path("/proc")
_LINUX = sys.platform == "linux"
"""Read in `_PROC` what `ps` tells elsewhere: tests ask thousands of times, at 20 ms of processor time each."""
_guards: list[subprocess.Popen[bytes]] = []


def run_folder() -> Path:
    """The folder of this run; the workers of a parallel run find it in their environment."""
    known = os.environ.get(_VARIABLE)
    if known and Path(known).is_dir():
        return Path(known)
    folder = Path(tempfile.mkdtemp(prefix="inithold-tests-", dir=_in_memory()))
    folder.chmod(0o755)  # servers that run as another user must get through
    (folder / "alive").mkdir()
    guard = subprocess.Popen(
        [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
    )
    _guards.append(guard)
    os.environ[_VARIABLE] = str(folder)
    atexit.register(end_run)
    return folder


def _in_memory() -> Path | None:
    """Linux's folder in memory where it has room: there the servers' files take half of the processor time."""
    memory = Path("/dev/shm")
    has_room = os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free > 8 << 30
    return memory if has_room else None


def new_folder(name: str) -> Path:
    """A new folder inside the run's folder."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=run_folder()))


def end_run() -> None:
    """End this run now: what is still alive is killed, the folder removed. Only the process that made it may."""
    while _guards:
        guard = _guards.pop()
        os.environ.pop(_VARIABLE, None)
        with suppress(BrokenPipeError):
            guard.communicate(b"end", timeout=60)


def remember(pid: int) -> None:
    """Let the guard end this process, and all it started, with the run."""
    (run_folder() / "alive" / str(pid)).write_text(_started(pid))


def forget(pid: int) -> None:
    """This process is gone: its number may soon be somebody else's."""
    (run_folder() / "alive" / str(pid)).unlink(missing_ok=True)


def kill_tree(pids: Iterable[int]) -> None:
    """Kill these processes and all that descend from them, and wait up to 10 s until all are gone."""
    asked = list(pids)
    doomed = {*asked, *descendants(*asked)}
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(map(is_alive, doomed)) and time.monotonic() < deadline:
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    return [child for child, parent in _running().items() if parent == pid]


def descendants(*pids: int) -> list[int]:
    """The processes that these started, and that those started, and so on, that still run."""
    running = _running()
    found = list(pids)
    for pid in found:
        found.extend(child for child, parent in running.items() if parent == pid and child not in found)
    return found[len(pids) :]


def is_alive(pid: int) -> bool:
    """Does it run? A zombie does not."""
    if _LINUX:
        return _stat(pid) is not None
    return pid in _running()


def arguments(pid: int) -> str:
    """The command line of a process, empty where it is gone."""
    if _LINUX:
        with suppress(FileNotFoundError, ProcessLookupError):
            return (_PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
        return ""
    return _ps("-o", "args=", "-ww", "-p", str(pid))


def _running() -> dict[int, int]:
    """Every process that is not a zombie, and its parent."""
    if _LINUX:
        stats = {int(file.name): _stat(int(file.name)) for file in _PROC.iterdir() if file.name.isdigit()}
        return {pid: int(stat[1]) for pid, stat in stats.items() if stat is not None}
    rows = (line.split() for line in _ps("-A", "-o", "pid=,ppid=,state=").splitlines())
    return {int(pid): int(parent) for pid, parent, state, *_ in rows if not state.startswith("Z")}


def _started(pid: int) -> str:
    """When it was started; empty where it is gone."""
    if _LINUX:
        stat = _stat(pid)
        return stat[19] if stat is not None else ""
    return _ps("-o", "lstart=", "-p", str(pid)).strip()


def _stat(pid: int) -> list[str] | None:
    """Its fields in proc_pid_stat(5) from the state on; None for one that is gone or a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields


def _ps(*arguments: str) -> str:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False, env=environment).stdout


def _guard(folder: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remembered = list((folder / "alive").iterdir())
    kill_tree(int(file.name) for file in remembered if file.read_text() == _started(int(file.name)))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
