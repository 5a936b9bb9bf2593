"""The lock of a plan: of replicas started together one applies, the others wait.

It is a session-level advisory lock of PostgreSQL, held by a connection that does nothing else. It needs no table,
it goes with the process that holds it, however that ends, and it is per database, as PostgreSQL has it.

It is taken as steps are run, by a plan of two steps that nobody sees: the server answers, and the lock is ours.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock as Mutex
from threading import Thread
from typing import TYPE_CHECKING, Any

from inithold.errors import Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.advisory import Held, key_of, refuse_pooling, state, try_lock
from inithold.runner.context import Context, Stop
from inithold.runner.events import Event, Span, StepWaiting
from inithold.runner.run import Runner, new_span_id
from inithold.runner.stream import Stream
from inithold.steps.address import Address, parse
from inithold.steps.base import Change, Step, StepContext

if TYPE_CHECKING:
    from inithold.net.bounds import Bounds
    from inithold.steps.postgres.connection import Connection

Say = Callable[[str, float], object]
"""Told why the lock is not ours yet, and the seconds waited so far; called from another thread."""
OnLost = Callable[[], object]

SERVER_TIMEOUT = 600.0
"""Seconds without the server before waiting for it is given up, as for `database.ready`."""
POLL = 0.5
"""Seconds between two tries at most.

It is polled: a `pg_advisory_lock` that blocks holds a snapshot, and a migration with CREATE INDEX CONCURRENTLY
under the lock would wait for that snapshot forever.
"""
LOOK = 2.0
"""Seconds between two looks at who holds the lock."""
SILENCE = 10
"""Seconds without a sign of life after which the connection counts as lost."""
UNANSWERED = 30.0
"""The same where the machine is there but the server does not answer."""


class Lock:
    """The lock of one plan on one database.

    Args:
        url: of a PostgreSQL database.
        plan_name: name of the plan; plans of other names have other locks.

    Raises:
        ValueError: it is not such a URL.
    """

    def __init__(self, url: str, plan_name: str) -> None:
        self.lost = ""
        """Why the lock was lost, for people; empty while it is held."""
        self._session = _Session(parse(url, ["postgresql"]), plan_name)
        self._released = Context("lock", _span(), Stream(()), None)
        self._wake, self._woken = socket.socketpair()
        self._watcher: Thread | None = None

    def acquire(self, stop: Stop, *, say: Say) -> None:
        """Wait for the server, then for the lock.

        Args:
            stop: ends the wait at once.
            say: called when what is waited for changes, and every few seconds.

        Raises:
            Interrupted: told to stop.
            StepFailed: the server says no, is not there for 10 minutes, or stands behind a proxy through which no
                lock holds.
        """
        steps = (
            PlannedStep("server", _Server(session=self._session), timeout=SERVER_TIMEOUT),
            PlannedStep("lock", _Taken(session=self._session), needs=("server",)),
        )
        runner = Runner(CheckedPlan("lock", steps, ""), Stream([_Waiting(say)]), _span())
        with stop.calling(lambda: runner.cancel(stop.reason)):
            result = runner.run()
        if result.outcome == "cancelled":
            raise Interrupted(result.reason)
        for step in result.steps:
            if step.outcome == "failed":
                late = step.exception == "TimeoutError"
                hint = "see why the server of lock does not come, or fix its address" if late else step.hint
                raise StepFailed(step.reason, hint=hint)

    def watch(self, *, on_lost: OnLost) -> None:
        """Watch the lock from another thread; call `on_lost` from there, once, when it is gone.

        Args:
            on_lost: must not raise; `lost` says why.
        """
        if (connection := self._session.connection) is not None:
            self._watcher = Thread(
                target=self._watch, args=(connection, on_lost), daemon=True, name="inithold-lock"
            )
            self._watcher.start()

    def release(self) -> None:
        """Give the lock up; safe to call in any state, also twice."""
        if self._released.stop.is_set():
            return
        self._released.stop.set("released")
        self._wake.close()
        if self._watcher is not None:
            # It closes the connection itself: a connection is not for two threads.
            self._watcher.join(timeout=1.0)
            return
        self._woken.close()
        self._session.close()

    def _watch(self, connection: Connection, on_lost: OnLost) -> None:
        self._session.bounds.current = self._released
        poller = select.poll()
        poller.register(connection.raw.fileno(), select.POLLIN)
        poller.register(self._woken.fileno(), select.POLLIN)
        try:
            while not self._released.stop.is_set():
                poller.poll(LOOK * 1000)
                if not self._released.stop.is_set():
                    self._session.verify()
        except Interrupted:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody can vouch for the lock any more
            self.lost = error.message if isinstance(error, StepError) else f"{type(error).__name__}: {error}"
            on_lost()
        finally:
            self._session.close()
            self._woken.close()


class _Bounds:
    """The bounds of a connection that outlives the step which made it.

    Args:
        current: those that apply now.
    """

    def __init__(self, current: Bounds) -> None:
        self.current = current

    def remaining(self, most: float) -> float:
        return self.current.remaining(most)

    def check_cancelled(self) -> None:
        self.current.check_cancelled()

    def on_cancel(self, action: Callable[[], object]) -> Any:
        return self.current.on_cancel(action)


class _Session:
    """The connection that holds the lock, or is to.

    Args:
        address: of the database.
        name: of the plan.
    """

    def __init__(self, address: Address, name: str) -> None:
        self.connection: Connection | None = None
        self.bounds: _Bounds
        self._address = address
        self._name = name
        self._key = 0
        self._closed = False
        self._busy = Mutex()
        self._holder: Held | None = None
        self._looked_at = 0.0

    def connect(self, context: StepContext) -> None:
        """Connect where there is no connection.

        Raises:
            NotYet: the server cannot be reached yet.
            StepFailed: it says no, or a proxy before it pools transactions.
        """
        from inithold.steps.postgres.connection import connect, explained  # noqa: PLC0415 - heavy

        with self._used():
            if self.connection is not None:
                self.bounds.current = context
                return
            bounds = _Bounds(context)
            name = f"inithold {self._name} on {socket.gethostname()}"
            try:
                connection = connect(self._address, bounds, application_name=name, silence=SILENCE)
            except Rejected as error:
                error.hint = "check user, password and database of lock: it is taken before any step runs"
                raise
            self.connection, self.bounds = connection, bounds
            with self._lost_if_it_fails(), explained(connection.where):
                refuse_pooling(connection, lambda: connect(self._address, bounds, application_name=name))
                self._key = key_of(self._name, connection)

    def holder(self) -> Held | None:
        """Who holds the lock; None for nobody.

        Raises:
            NotYet, StepFailed: the connection is lost; the next `connect` makes another.
        """
        from inithold.steps.postgres.connection import explained  # noqa: PLC0415 - heavy

        with self._used(), self._lost_if_it_fails():
            connection = self._connected()
            with explained(connection.where):
                return state(connection, self._key, seconds=UNANSWERED)

    def take(self) -> None:
        """Take the lock.

        Raises:
            NotYet: another one has it, or the connection is lost.
        """
        from inithold.steps.postgres.connection import explained  # noqa: PLC0415 - heavy

        with self._used(), self._lost_if_it_fails():
            connection = self._connected()
            with explained(connection.where):
                if try_lock(connection, self._key):
                    return
                if time.monotonic() - self._looked_at >= LOOK:
                    self._holder, self._looked_at = state(connection, self._key), time.monotonic()
        raise NotYet(str(self._holder) if self._holder else "held by another process", within=POLL)

    def verify(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            StepError: it is not, or it cannot be told any more.
        """
        holder = self.holder()
        if holder is None or not holder.ours:
            raise StepFailed(
                f"{self._connected().where}: the server no longer has the lock",
                hint="look for who ends connections there: a proxy, a failover, pg_terminate_backend",
            )

    def close(self) -> None:
        """Hang up for good; where another thread is using the connection, it does so when it is done."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._busy.release()

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._busy:
            if self._closed:
                raise Interrupted("released")
            try:
                yield
            finally:
                if self._closed:
                    self._drop()

    @contextmanager
    def _lost_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._drop()
            raise

    def _connected(self) -> Connection:
        if self.connection is None:
            raise NotYet("the connection to the server of lock is lost")
        return self.connection

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class _Server(Step, frozen=True, kw_only=True):
    """The server of the lock answers."""

    kind = "lock.server"
    waits = True

    session: Any

    def preload(self) -> None:
        from inithold.steps.postgres.connection import preload  # noqa: PLC0415 - heavy

        preload()

    def check(self, context: StepContext) -> Sequence[Change]:
        self.session.connect(context)
        return ()


class _Taken(Step, frozen=True, kw_only=True):
    """This run's own session holds the lock."""

    kind = "lock.taken"

    session: Any

    def check(self, context: StepContext) -> Sequence[Change]:
        try:
            self.session.connect(context)
        except NotYet as error:
            # Without a probe: whoever has taken the port is not waited for forever.
            raise NotYet(error.message, hint=error.hint) from error
        holder = self.session.holder()
        return () if holder is not None and holder.ours else (Change("+", "lock"),)

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - the interface's
        self.session.take()


class _Waiting:
    """Tells why the lock is not ours yet; nothing else of these steps is told.

    Args:
        say: whom.
    """

    def __init__(self, say: Say) -> None:
        self._say = say

    def see(self, event: Event) -> None:
        if isinstance(event, StepWaiting):
            self._say(f"{event.reason} ({event.hint})" if event.hint else event.reason, event.elapsed)

    def close(self) -> None:
        return


def _span() -> Span:
    return Span(os.urandom(16).hex(), new_span_id())
