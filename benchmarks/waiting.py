"""What a gate costs that waits: memory, and processor time, also where it has to ask env.py."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.holding import UNSHARE, inside
from benchmarks.memory import memory, processes
from benchmarks.result import Result
from benchmarks.stack import PLAN, PROJECT, Stack
from servers.ports import free_port

SETTLED = 45.0
"""Seconds after which the pauses between two questions to env.py no longer grow."""
WATCHED = 60.0
EVERY = 0.05
_MEGA = 1.048576


class _Gate:
    """A gate that waits until init has run, or for servers that are not there."""

    def __init__(
        self,
        stack: Stack,
        what: str,
        environment: Mapping[str, str],
        folder: Path = PROJECT,
        *,
        plan: Path = PLAN,
        bound: float = 45,
        line: str = "schema (empty)",
    ) -> None:
        self.what = what
        self._bound = bound
        self._line = line
        self._init = stack.start("gate", environment, prefix=UNSHARE, more=(str(plan),), folder=folder)
        self._waiting = self._pss = self._most = 0.0
        self._began = 0.0

    def until_it_waits(self) -> None:
        while self._line not in self._init.log.read_text():
            if self._init.process.poll() is not None:
                raise RuntimeError(f"{self.what}: {self._init.log.read_text()}")
            time.sleep(EVERY)

    def begin(self) -> None:
        self._began = self._processor_time()

    def look(self) -> None:
        """Note its memory, and while it asks that of all its processes."""
        try:
            each = [memory(pid) for pid in processes(inside(self._init))]
        except (OSError, KeyError):
            return  # A process or thread has ended meanwhile.
        self._most = max(self._most, sum(anonymous for anonymous, _ in each))
        if len(each) == 1:
            self._waiting, self._pss = max((self._waiting, self._pss), each[0])

    def results(self) -> Sequence[Result]:
        share = (self._processor_time() - self._began) / WATCHED * 100
        beside = f"PSS {self._pss * _MEGA:.1f} MB"
        if self._most > self._waiting + 1:
            beside += f"; while env.py is asked {self._most * _MEGA:.0f} MB"
        what = f"of a gate that waits, {self.what}"
        return [
            Result(f"anonymous memory {what}", self._waiting * _MEGA, self._bound, "MB", beside),
            Result(f"processor time {what}", share, 5, "% of a core"),
        ]

    def end(self) -> None:
        self._init.end()

    def _processor_time(self) -> float:
        # utime, stime, and those of the children that have ended: proc_pid_stat(5).
        fields = Path(f"/proc/{inside(self._init)}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def waiting_gate(stack: Stack) -> Sequence[Result]:
    """Memory and processor time of `inithold wait` before servers that are not there, and before init has run."""
    missing = stack.environment(
        f"postgresql://app:secret@127.0.0.1:{free_port()}/app", f"amqp://app:secret@127.0.0.1:{free_port()}/"
    )
    own = _project(stack, "own", "configure(", "configure(version_table='applied', ")
    by_code = _project(stack, "by-code", "configure(", "configure(version_table='app' + 'lied', ")
    psycopg2 = _project(
        stack, "psycopg2", "database.url()", "database.url().set(drivername='postgresql+psycopg2')"
    )
    (psycopg2 / "psycopg.py").write_text("raise ImportError('not installed')\n")
    path = {"PYTHONPATH": f"{psycopg2}{os.pathsep}{PROJECT}"}
    no_url = _plan(stack, "no-url")
    no_driver = _plan(stack, "no-driver", ("database", "schema"))
    sqlite = {"DATABASE_URL": f"sqlite:///{stack.folder}/games.db"}
    init = "until init has run"
    gates = [
        _Gate(stack, "before servers that are not there", missing, bound=25, line="broker"),
        _Gate(stack, init, stack.empty()),
        _Gate(stack, f"{init}, with a version table of its own", stack.empty(), own),
        _Gate(stack, f"{init}, with a version table named by code", stack.empty(), by_code),
        _Gate(stack, f"{init}, with no url in the step", stack.empty(), plan=no_url),
        _Gate(
            stack, f"{init}, on SQLite, with a version table named by code", {**stack.empty(), **sqlite}, by_code
        ),
        _Gate(
            stack, f"{init}, where only env.py has a driver", {**stack.empty(), **path}, psycopg2, plan=no_driver
        ),
    ]
    try:
        for gate in gates:
            gate.until_it_waits()
        time.sleep(SETTLED)
        for gate in gates:
            gate.begin()
        ends_at = time.monotonic() + WATCHED
        while time.monotonic() < ends_at:
            for gate in gates:
                gate.look()
            time.sleep(EVERY)
        return [result for gate in gates for result in gate.results()]
    finally:
        for gate in gates:
            gate.end()


def _project(stack: Stack, name: str, old: str, new: str) -> Path:
    """A copy of the example's project with another env.py."""
    copy = stack.folder / name
    shutil.copytree(PROJECT, copy)
    env = copy / "migrations" / "env.py"
    env.write_text(env.read_text().replace(old, new))
    return copy


def _plan(stack: Stack, name: str, without: Sequence[str] = ()) -> Path:
    """The plan, in which env.py finds its own database, without some steps."""
    plan: dict[str, Any] = yaml.safe_load(PLAN.read_text())
    plan["steps"] = [step for step in plan["steps"] if step["id"] not in without]
    for step in plan["steps"]:
        if step["uses"] == "alembic.upgrade":
            del step["with"]["url"]
    file = stack.folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(plan, sort_keys=False))
    return file
