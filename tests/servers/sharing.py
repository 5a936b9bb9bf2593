"""What the workers of a run share: one server of a kind, which the run's guard ends, and data folders to copy."""

from __future__ import annotations

import fcntl
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, TypeVar

from servers.run import new_folder, run_folder


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


def copy_of(name: str, make: Callable[[Path], None], folder: Path) -> None:
    """Fill `folder`, which must not be there yet, with what `make` makes: it is made once a run, and copied.

    A server's empty data costs a second or more of processor time to make.
    """
    template = run_folder() / f"template-{name}"
    with (run_folder() / f"template-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            draft = new_folder(f"template-{name}")
            make(draft)
            draft.rename(template)
    subprocess.run(["cp", "-a", str(template), str(folder)], check=True)
