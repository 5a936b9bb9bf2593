"""One server for all workers of a parallel run: the first that needs it starts it, the run's guard ends it."""

from __future__ import annotations

import fcntl
import pickle
from typing import Protocol, Self, TypeVar

from servers.run import run_folder


class Startable(Protocol):
    """A server that can be started; its plain fields say all that is needed to reach it."""

    def start(self) -> Self:
        """Start it and return it when it serves."""
        ...


Server = TypeVar("Server", bound=Startable)


def shared(kind: type[Server]) -> Server:
    """The run's own server of this kind. Do not stop, kill or freeze it: others are using it."""
    state = run_folder() / f"shared-{kind.__name__}"
    with (run_folder() / f"shared-{kind.__name__}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not state.exists():
            state.write_bytes(pickle.dumps(kind().start()))
        server: Server = pickle.loads(state.read_bytes())
        return server
