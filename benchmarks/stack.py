"""The five-step initialization of the game-scheduling stack on real servers, by inithold and by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.otlp import Collector
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ

HERE = Path(__file__).parent
PROJECT = HERE.parent / "examples" / "game-scheduler"
PLAN = HERE / "handwritten" / "inithold.yaml"
SCRIPT = Path(sys.executable).with_name("inithold")
INITHOLD = (str(SCRIPT), "run", str(PLAN))
GATE = (str(SCRIPT), "wait")
BY_HAND = (sys.executable, str(HERE / "handwritten" / "main.py"))
CONTESTANTS: Mapping[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "inithold": (INITHOLD, {}),
    "gate": (GATE, {}),
    "alembic as a child": (BY_HAND, {}),
    "alembic in process": (BY_HAND, {"ALEMBIC": "in-process"}),
}


@dataclass
class Init:
    """An init process."""

    process: subprocess.Popen[bytes]
    started: float
    marker: Path
    log: Path

    @classmethod
    def begun(
        cls, command: Sequence[str], environment: Mapping[str, str], marker: Path, log: Path, folder: Path
    ) -> Init:
        """Start a process that writes `marker` when it is ready."""
        with log.open("wb") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, "INITHOLD_MARKER": str(marker)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return cls(process, started, marker, log)

    def processor_time(self) -> float:
        """Seconds of processor time that it and what it has become have used, those of ended threads too."""
        # The clock of another process (clock_getcpuclockid(3)): Python gives a name to that of threads only.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def until_ready(self, seconds: float = 60) -> float:
        """Seconds from its start until its marker is there."""
        while not self.marker.exists():
            if self.process.poll() is not None or time.monotonic() - self.started > seconds:
                raise RuntimeError(f"no marker; exit {self.process.poll()}\n{self.log.read_text()[-3000:]}")
            time.sleep(0.001)
        return time.monotonic() - self.started

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Stack:
    """The servers, and the environment of an init service that works on them."""

    def __init__(self, postgresql: PostgreSQL, rabbitmq: RabbitMQ, collector: Collector, folder: Path) -> None:
        self.postgresql = postgresql
        self.rabbitmq = rabbitmq
        self.collector = collector
        self.folder = folder
        self._count = 0

    def empty(self) -> dict[str, str]:
        """Variables for an empty database and an empty virtual host."""
        return self.environment(self.postgresql.create_database(), self.rabbitmq.url(self.rabbitmq.create_vhost()))

    def environment(self, database_url: str, rabbitmq_url: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": rabbitmq_url,
            "OTEL_SERVICE_NAME": "init",
            **self.collector.env(),
        }

    def start(
        self,
        contestant: str,
        environment: Mapping[str, str],
        *,
        prefix: tuple[str, ...] = (),
        more: tuple[str, ...] = (),
        folder: Path = PROJECT,
    ) -> Init:
        """Start one of `CONTESTANTS` in a folder, by a program before it and with more arguments."""
        command, variables = CONTESTANTS[contestant]
        self._count += 1
        marker, log = self.folder / f"marker-{self._count}", self.folder / f"log-{self._count}"
        return Init.begun([*prefix, *command, *more], {**environment, **variables}, marker, log, folder)


@contextmanager
def stack() -> Iterator[Stack]:
    """Real servers of the benchmark's own."""
    with (
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        Collector() as collector,
        tempfile.TemporaryDirectory() as folder,
    ):
        yield Stack(postgresql, rabbitmq, collector, Path(folder))
