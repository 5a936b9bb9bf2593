"""What a kind that changes things must show: made once, unchanged the second time, safe in replicas at once."""

from __future__ import annotations

import threading

from inithold.steps.base import Step
from inithold.testing import Driven, check, drive


def lines(step: Step) -> list[str]:
    """The changes that a step still needs, as they are shown."""
    return [str(change) for change in check(step)]


def changed_once(step: Step) -> Driven:
    """Drive a step that is not satisfied: it makes what its check answers, and is unchanged the second time."""
    before = lines(step)
    driven = drive(step)
    assert driven.outcome == "changed", driven
    assert list(driven.changes) == before, "apply makes what check answers"
    assert lines(step) == []
    assert drive(step).outcome == "unchanged"
    return driven


def replicas_at_once(step: Step, count: int = 4) -> None:
    """Drive a step several times at the same moment: none fails, and it holds afterwards."""
    ready = threading.Barrier(count)
    found: list[Driven] = []

    def replica() -> None:
        ready.wait()
        found.append(drive(step))

    threads = [threading.Thread(target=replica) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    assert {driven.outcome for driven in found} <= {"changed", "unchanged"}, found
    assert lines(step) == []
