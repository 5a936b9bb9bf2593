"""What the servers share that run as one process in a folder of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.ports import release_port
from servers.process import has_ended, kill


class Server:
    """A server that is started on entering its context, and ended with its data removed on leaving it."""

    folder: Path
    pid: int
    port: int

    def start(self) -> Self:
        """Start it and wait until it serves."""
        raise NotImplementedError

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.folder / "log"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it and remove its data."""
        if self.pid and not has_ended(self.pid):
            kill(self.pid)
        release_port(self.port)
        shutil.rmtree(self.folder, ignore_errors=True)
