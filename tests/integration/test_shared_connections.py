"""What the checks of a run leave to one another: a connection that only inithold's own reads have used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from inithold.net.shared import SharedConnections
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.attempt import Work, converge, wait_for
from inithold.runner.context import Context
from inithold.runner.events import Span
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream
from inithold.steps import database
from inithold.steps.address import parse
from inithold.steps.base import Change, Step, StepContext
from inithold.steps.database.driver import reading
from servers.postgresql import PostgreSQL
from stopping import until


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    made = postgresql.create_database()
    postgresql.execute("CREATE TABLE users (id int)", made.rpartition("/")[2])
    yield made
    postgresql.drop_database(made.rpartition("/")[2])


class Look(Step, frozen=True, kw_only=True):
    """Notes the sessions of a database, and changes something if it is told to."""

    kind = "test.look"
    seen: ClassVar[list[Sequence[int]]] = []

    server: Any
    url: str
    changes: bool = False

    def check(self, context: StepContext) -> Sequence[Change]:
        if self.changes and not Look.seen:
            return (Change("?", "something"),)
        self._look()
        return ()

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        # The server learns a little later that a client has hung up.
        until(lambda: not sessions(self.server, self.url))
        self._look()

    def _look(self) -> None:
        Look.seen.append(sessions(self.server, self.url))


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    Look.seen.clear()


def sessions(server: PostgreSQL, url: str) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'inithold' AND datname = '{}'"
    return [row[0] for row in server.execute(query.format(url.rpartition("/")[2]))]


def run(*steps: Step, work: Work = converge) -> RunResult:
    """Run steps one after the other."""
    planned = [
        PlannedStep(f"s{number}", step, needs=(f"s{number - 1}",) if number else ())
        for number, step in enumerate(steps)
    ]
    plan = CheckedPlan("test", tuple(planned), "0" * 64)
    result = Runner(plan, Stream([]), Span.root(), work=work).run()
    assert result.outcome == "ready", result
    return result


@pytest.mark.parametrize("work", [converge, wait_for])
def test_checks_one_after_the_other_log_in_once(postgresql: PostgreSQL, url: str, work: Work) -> None:
    look = Look(server=postgresql, url=url)
    tables = database.Tables(url=url, tables=["users"])
    run(database.Ready(url=url), look, tables, look, tables, look, work=work)
    first = Look.seen[0]
    assert len(first) == 1
    assert Look.seen == [first] * 3
    until(lambda: not sessions(postgresql, url))


def test_ready_always_logs_in(postgresql: PostgreSQL, url: str) -> None:
    look = Look(server=postgresql, url=url)
    ready = database.Ready(url=url)
    run(ready, look, ready, look)
    before, after = Look.seen
    assert set(after) - set(before)


def test_none_is_left_in_a_change_nor_across_it(postgresql: PostgreSQL, url: str) -> None:
    tables = database.Tables(url=url, tables=["users"])
    run(database.Ready(url=url), tables, Look(server=postgresql, url=url, changes=True), tables)
    assert Look.seen == [[]]


def test_a_guard_of_the_users_runs_in_a_session_of_its_own(postgresql: PostgreSQL, url: str) -> None:
    look = Look(server=postgresql, url=url)
    locks = "SELECT pg_advisory_lock(7) IS NOT NULL"
    guarded = database.Sql(url=url, sql="SELECT 1", unless=locks)
    run(guarded, guarded, look)
    until(lambda: not postgresql.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7"))
    run(database.Ready(url=url), guarded, look)


def test_a_session_that_the_server_has_ended_is_not_used(postgresql: PostgreSQL, url: str) -> None:
    shared = SharedConnections()
    context = Context("step", Span.root(), Stream([]), None, connections=shared)
    address = parse(url, ["postgresql"])
    with reading(address, context) as first:
        first.answer()
    (pid,) = sessions(postgresql, url)
    postgresql.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    with reading(address, context) as second:
        second.answer()
    assert second is not first
    shared.close()


def test_a_session_whose_check_failed_is_closed(postgresql: PostgreSQL, url: str) -> None:
    shared = SharedConnections()
    context = Context("step", Span.root(), Stream([]), None, connections=shared)
    address = parse(url, ["postgresql"])

    def fail() -> None:
        with reading(address, context):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert shared.take(address) is None
    until(lambda: not sessions(postgresql, url))


def test_a_session_of_before_a_change_is_not_kept_after_it(postgresql: PostgreSQL, url: str) -> None:
    shared = SharedConnections()
    context = Context("step", Span.root(), Stream([]), None, connections=shared)
    address = parse(url, ["postgresql"])
    with reading(address, context), shared.changing():
        pass
    assert shared.take(address) is None
    until(lambda: not sessions(postgresql, url))


def test_a_later_check_has_its_own_limits_and_log(postgresql: PostgreSQL, url: str) -> None:
    shared = SharedConnections()
    address = parse(url, ["postgresql"])
    first = Context("first", Span.root(), Stream([]), None, connections=shared)
    with reading(address, first) as session:
        session.answer()
    first.stop.set("its time is up")
    second = Context("second", Span.root(), Stream([]), None, connections=shared)
    with reading(address, second) as same:
        same.answer()
    assert same is session
    shared.close()


class Waits(Look, frozen=True, kw_only=True):
    """Ends when the database has no session of inithold's."""

    kind = "test.waits"

    def check(self, context: StepContext) -> Sequence[Change]:
        until(lambda: not sessions(self.server, self.url))
        return ()


def test_an_idle_one_is_closed_while_the_run_goes_on(postgresql: PostgreSQL, url: str) -> None:
    run(database.Ready(url=url), Waits(server=postgresql, url=url))
