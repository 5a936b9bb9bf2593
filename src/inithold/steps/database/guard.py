"""Guards: queries that tell whether something is in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

from inithold.errors import StepFailed

_ROW = "unless must return a row once the statements have run"
_VALUE = "unless must return something other than false, 0, an empty text or NULL once the statements have run"


class Answer(NamedTuple):
    """What a guard says.

    Attributes:
        in_place: whether nothing is to be done.
        value: what its only row and column holds where that says no: `0`, `NULL`.
        error: why it could not be asked: what it asks for does not exist yet.
    """

    in_place: bool
    value: str = ""
    error: str = ""

    @property
    def details(self) -> tuple[str, ...]:
        """Why it says no, for a change; no row needs no explanation."""
        if self.error:
            return (f"unless: {self.error}",)
        return (f"unless answers {self.value}",) if self.value else ()


def judged(rows: Sequence[Sequence[object]]) -> Answer:
    """The answer of a guard that returned these rows.

    A row is yes, as in `SELECT 1 FROM users WHERE ...`; one row of one column that is false, 0, an empty text or
    NULL is no, as in `SELECT EXISTS (...)` and `SELECT count(*) ...`, which always return one.
    """
    if len(rows) != 1 or len(rows[0]) != 1:
        return Answer(bool(rows))
    value = rows[0][0]
    if value is None:
        return Answer(False, "NULL")
    if value is False:
        return Answer(False, "false")
    if isinstance(value, int | float | Decimal) and value == 0:
        return Answer(False, "0")
    if isinstance(value, str | bytes | bytearray | memoryview) and not len(value):
        return Answer(False, "an empty text")
    return Answer(True)


def no_query() -> StepFailed:
    """`unless` is a statement that returns no rows at all."""
    return StepFailed("unless: is no query: it returns no rows", hint="unless must be a query, such as SELECT")


@contextmanager
def advised(hint: str) -> Iterator[None]:
    """Say what to do next where a server refuses a statement without a hint of its own."""
    try:
        yield
    except StepFailed as error:
        error.hint = error.hint or hint
        raise


def require(answer: Answer, *, kept: str = "") -> None:
    """Make sure that a guard says yes, once the statements that it guards have run.

    Args:
        answer: of the guard.
        kept: what cannot be rolled back.

    Raises:
        StepFailed: it says no.
    """
    if answer.in_place:
        return
    message = f"cannot be asked: {answer.error}" if answer.error else "returns no row"
    raise StepFailed(
        f"the statements ran, yet unless {f'answers {answer.value}' if answer.value else message}: "
        f"{kept or 'rolled back'}",
        hint=_VALUE if answer.value else _ROW,
    )
