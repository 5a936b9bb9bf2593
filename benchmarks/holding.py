"""What holding costs, and how fast a hold ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.memory import memory, processes
from benchmarks.result import Result
from benchmarks.stack import Init, Stack

UNSHARE = (
    shutil.which("unshare", path=f"{os.environ['PATH']}:/usr/bin") or "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
PATIENCE = 10.0
"""`docker stop` waits this long, then kills."""


def holding(stack: Stack) -> Sequence[Result]:
    """Memory while holding, and SIGTERM to exit as PID 1."""
    environment = stack.empty()
    bare = {**environment, "PATH": str(_without_catatonit(stack.folder))}
    results: list[Result] = []
    by_hand = stack.start("alembic in process", environment, prefix=UNSHARE)
    by_hand.until_ready()
    time.sleep(1)
    hand_anonymous, hand_pss = _memory(by_hand)
    hand_exit = _sigterm_to_exit(by_hand)
    for name, variables, bound in (("catatonit", environment, 0.5), ("no catatonit", bare, 4.0)):
        init = stack.start("inithold", variables, prefix=UNSHARE)
        init.until_ready()
        time.sleep(1)
        anonymous, pss = _memory(init)
        beside = f"PSS {pss:.1f} MiB; by hand {hand_anonymous:.1f} MiB, PSS {hand_pss:.1f} MiB"
        results.append(Result(f"anonymous memory while holding, {name}", anonymous, bound, "MiB", beside))
        seconds = _sigterm_to_exit(init)
        results.append(
            Result(f"SIGTERM to exit as PID 1, {name}", (seconds or PATIENCE) * 1000, 50, "ms", _said(hand_exit))
        )
    return results


def _said(seconds: float | None) -> str:
    return f"by hand: not within {PATIENCE:g} s, killed" if seconds is None else f"by hand {seconds * 1000:.0f} ms"


def _without_catatonit(folder: Path) -> Path:
    """A PATH with nothing on it."""
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    return empty


def inside(init: Init) -> int:
    """The process that is PID 1 of the namespace."""
    return int(Path(f"/proc/{init.process.pid}/task/{init.process.pid}/children").read_text().split()[0])


def _memory(init: Init) -> tuple[float, float]:
    """Anonymous memory and PSS of all processes of the namespace, in MiB."""
    each = [memory(pid) for pid in processes(inside(init))]
    return sum(anonymous for anonymous, _ in each), sum(pss for _, pss in each)


def _sigterm_to_exit(init: Init) -> float | None:
    at = time.monotonic()
    os.kill(inside(init), signal.SIGTERM)
    try:
        init.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        init.end()
        return None
    return time.monotonic() - at
