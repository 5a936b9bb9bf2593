"""What the engine says of a container, a hundred times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e2e.moments import moment
from e2e.stack import Stack


@dataclass(frozen=True)
class Sample:
    """What the engine said at a moment; times in seconds since 1970."""

    at: float
    status: str
    health: str
    started: float


@contextmanager
def sampled(stack: Stack, service: str = "init") -> Iterator[list[Sample]]:
    """A list that is filled until the end of the block."""
    samples: list[Sample] = []
    done = threading.Event()

    def sample() -> None:
        while not done.is_set():
            if state := stack.state(service):
                health = state.get("Health", {}).get("Status", "none")
                samples.append(Sample(time.time(), state["Status"], health, moment(state["StartedAt"])))
            time.sleep(0.005)  # the engine has other things to do

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def assert_never_healthy(samples: list[Sample], *, since: float, until: float = float("inf")) -> None:
    """No sample of a start after `since` says healthy before `until`: the time of the marker."""
    early = [sample for sample in samples if sample.started > since and sample.at < until]
    assert len(early) > 50, f"{len(early)} samples only"
    assert [sample for sample in early if sample.health == "healthy"] == []
