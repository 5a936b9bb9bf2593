"""What the workers of a run share: made by the first that needs it, removed by the last that leaves."""

from __future__ import annotations

import fcntl
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from servers.run import run_folder

Made = TypeVar("Made")


@contextmanager
def shared(name: str, make: Callable[[], Made], remove: Callable[[Made], object]) -> Iterator[Made]:
    """What one of the workers has made; its plain fields say all that is needed to use it.

    Args:
        name: that the workers know it by.
        make: makes it.
        remove: removes it.
    """
    users, state = run_folder() / f"e2e-{name}.users", run_folder() / f"e2e-{name}.made"
    with locked(name):
        if not state.exists():
            state.write_bytes(pickle.dumps(make()))
        made: Made = pickle.loads(state.read_bytes())
        users.write_text(str(int(users.read_text()) + 1 if users.exists() else 1))
    try:
        yield made
    finally:
        with locked(name):
            users.write_text(str(int(users.read_text()) - 1))
            if users.read_text() == "0":
                state.unlink()
                remove(made)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one worker at a time do this."""
    with (run_folder() / f"e2e-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
