"""What the database kinds share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inithold.steps.addressed import Addressed
from inithold.steps.database import driver
from inithold.steps.database.conninfo import faults


class Database(Addressed, frozen=True, kw_only=True):
    """Base of the kinds that work on a database, which the URL chooses."""

    def technologies(self) -> Sequence[str]:
        return driver.TECHNOLOGIES

    def validate(self) -> Iterator[tuple[str, str]]:
        found = list(super().validate())
        yield from found
        if found:
            return
        address = self.address()
        if address.technology == "postgresql":
            yield from (("url", fault) for fault in faults(address))
        if address.technology == "sqlite" and address.database == ":memory:":
            yield "url", "url is a database in memory, which nobody else can see: give a file"

    def extras(self) -> Sequence[str]:
        try:
            return driver.EXTRAS.get(self.address().technology, ())
        except ValueError:  # which validate reports
            return ()

    def preload(self) -> None:
        driver.preload(self.address())
