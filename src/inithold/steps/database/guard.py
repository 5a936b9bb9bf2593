"""Guards: queries that show whether something is in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

from inithold.errors import StepFailed

_ROW = "unless must return a row once the statements have run"
_VALUE = "unless must return something other than false, 0, an empty text or NULL once the statements have run"


class Answer(NamedTuple):
    """The result of a guard.

    Attributes:
        in_place: whether there is nothing to do.
        value: its single value if that means no: `0`, `NULL`.
        error: the server's message if the guard queries something that does not exist yet.
    """

    in_place: bool
    value: str = ""
    error: str = ""

    @property
    def details(self) -> tuple[str, ...]:
        """Return why it is not in place, for a change; empty if the guard returned no row."""
        if self.error:
            return (f"unless: {self.error}",)
        return (f"unless answers {self.value}",) if self.value else ()


def judged(rows: Sequence[Sequence[object]]) -> Answer:
    """Judge the rows that a guard returned.

    Any row means in place, as in `SELECT 1 FROM users WHERE ...`, except a single row of one column that is false,
    0, an empty text or NULL, as in `SELECT EXISTS (...)` and `SELECT count(*) ...`, which always return a row.
    """
    if len(rows) != 1 or len(rows[0]) != 1:
        return Answer(bool(rows))
    value = rows[0][0]
    if value is None or value is False:
        return Answer(False, "NULL" if value is None else "false")
    if isinstance(value, int | float | Decimal) and value == 0:
        return Answer(False, "0")
    if isinstance(value, str | bytes | bytearray | memoryview) and not len(value):
        return Answer(False, "an empty text")
    return Answer(True)


def no_query() -> StepFailed:
    """Return the error for an `unless` that is not a query."""
    return StepFailed("unless: is no query: it returns no rows", hint="unless must be a query, such as SELECT")


@contextmanager
def advised(hint: str) -> Iterator[None]:
    """Add a hint to a failed statement for which the server gives none."""
    try:
        yield
    except StepFailed as error:
        error.hint = error.hint or hint
        raise


def require(answer: Answer, *, kept: str = "") -> None:
    """Raise `StepFailed` if a guard is not in place after its statements; `kept` cannot be rolled back."""
    if answer.in_place:
        return
    message = f"cannot be asked: {answer.error}" if answer.error else "returns no row"
    message = f"answers {answer.value}" if answer.value else message
    hint = _VALUE if answer.value else _ROW
    raise StepFailed(f"the statements ran, yet unless {message}: {kept or 'rolled back'}", hint=hint)
