"""What the database kinds share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inithold.steps.addressed import Addressed
from inithold.steps.database import driver


class Database(Addressed, frozen=True, kw_only=True):
    """Base of the kinds that work on a database, which the URL chooses."""

    def technologies(self) -> Sequence[str]:
        return driver.TECHNOLOGIES

    def validate(self) -> Iterator[tuple[str, str]]:
        problems = list(super().validate())
        yield from problems
        if problems:
            return
        yield from (("url", fault) for fault in driver.faults(self.address()))

    def extras(self) -> Sequence[str]:
        try:
            return driver.EXTRAS.get(self.address().technology, ())
        except ValueError:  # which validate reports
            return ()

    def preload(self) -> None:
        driver.preload(self.address())
