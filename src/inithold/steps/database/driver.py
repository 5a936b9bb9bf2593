"""What a step asks of a database, whichever it is, and the choice of the driver that can.

Drivers are modules of their own, named in `_DRIVERS`. Importing one is cheap; what is heavy is
imported once a bare TCP connection has shown that somebody is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple, Protocol

from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.database.guard import Answer
from inithold.steps.database.script import Script

_DRIVERS = {
    "postgresql": "inithold.steps.postgres.driver",
    "mysql": "inithold.steps.mysql.driver",
    "sqlite": "inithold.steps.sqlite",
}
TECHNOLOGIES = tuple(_DRIVERS)
EXTRAS = {"postgresql": ("postgres",), "mysql": ("mysql",)}
ANSWER_WITHIN = 10.0
"""Seconds that a server may take to connect, and to answer a question of ours (not of the user's)."""


class CatalogRow(NamedTuple):
    """A column of a table or view that has one of the names asked for, in whatever case.

    Attributes:
        schema: where the table is.
        table: its name as stored.
        visible: whether its name alone finds it.
        column: name as stored; None for a table without columns.
    """

    schema: str
    table: str
    visible: bool
    column: str | None


class Session(Protocol):
    """A connection for one check or one apply.

    Every method may raise `NotYet`, `StepFailed` and `Interrupted`, with messages for people.
    """

    folds_tables: bool
    """Whether `Users` and `users` are the same table."""
    folds_columns: bool
    """Whether `Email` and `email` are the same column."""

    def answer(self) -> None:
        """Have a query answered."""

    def catalog(self, names: Sequence[str]) -> list[CatalogRow]:
        """Look up tables and views by their bare names, in every schema."""

    def ask(self, query: str) -> Answer:
        """Ask a guard, in a transaction that cannot write."""

    def run(self, script: Script, unless: str | None) -> None:
        """Run a script in one transaction, then its guard, and commit where that says yes."""

    def close(self) -> None:
        """Hang up."""


@contextmanager
def session(address: Address, context: StepContext, *, create: bool = False) -> Iterator[Session]:
    """Connect, and hang up at the end.

    Args:
        address: of the database.
        context: of the step.
        create: whether a file that does not exist is made.

    Raises:
        NotYet: the server is not up, or not for us yet.
        Rejected: the server says no to the password, the role or the database.
        StepFailed: TLS or a parameter of the URL is wrong.
    """
    driver = import_module(_DRIVERS[address.technology])
    opened: Session = driver.open_session(address, context, create=create)
    try:
        yield opened
    finally:
        opened.close()


def faults(address: Address) -> Iterator[str]:
    """What is wrong with an address beyond its form, without contacting anybody."""
    if address.technology == "postgresql":
        yield from import_module("inithold.steps.postgres.conninfo").faults(address)
    if address.technology == "sqlite" and address.database == ":memory:":
        yield "url is a database in memory, which nobody else can see: give a file"


def preload(address: Address) -> None:
    """Import what connecting to the address will need."""
    import_module(_DRIVERS[address.technology]).preload()
