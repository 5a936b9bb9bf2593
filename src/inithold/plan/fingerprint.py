"""What a plan was when it was run, so that a hold that verifies notices where it has changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from inithold.plan.model import CheckedPlan


def fingerprint(plan: CheckedPlan) -> str:
    """A SHA-256, hexadecimal, of the plan as written and of the files that are a part of it.

    What its steps find in the environment, and the values of variables, are no part of it.
    """
    digest = hashlib.sha256(plan.digest.encode())
    for path in _files(plan):
        digest.update(f"\n{path}\n".encode())
        try:
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
        except OSError as error:
            # That it is gone is a difference, too; what to do about it is for its step to say.
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _files(plan: CheckedPlan) -> Iterator[str]:
    yield from plan.files
    for planned in plan.steps:
        if planned.enabled:
            yield from planned.step.files()
