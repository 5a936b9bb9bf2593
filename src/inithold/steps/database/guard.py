"""What is said where a guard is not satisfied by the statements it guards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inithold.errors import StepFailed


@contextmanager
def advised(hint: str) -> Iterator[None]:
    """Say what to do next where a server refuses a statement without a hint of its own."""
    try:
        yield
    except StepFailed as error:
        error.hint = error.hint or hint
        raise


def not_established(seen: str, *, kept: str = "") -> StepFailed:
    """The statements ran, and `unless` does not see it.

    Args:
        seen: what the guard does instead.
        kept: what could not be rolled back.
    """
    return StepFailed(
        f"the statements ran, yet unless {seen}: {kept or 'rolled back'}",
        hint="unless must return a row once the statements have run",
    )
