"""The lock of a plan: of replicas started together one applies, the others wait.

It is a session-level advisory lock of PostgreSQL, held by a connection that does nothing else. It needs no table,
it goes with the process that holds it, however that ends, and it is per database, as PostgreSQL has it:
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS

It is taken as steps are run, by a plan of two steps that nobody sees: the server answers, and the lock is ours.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from threading import Lock as Mutex
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from inithold.errors import Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.plan.model import CheckedPlan, PlannedStep
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
ANSWER_WITHIN = 10.0
_PATIENCE = 2.0
"""Seconds after which a proxy that gives a second client no server is taken not to have one to spare."""
_TURNS = (0, 1, 1, 0, 1, 0, 0, 1)
"""Which of two clients asks next. No way to hand out servers gives both the same one each time by chance."""
_WHO = "SELECT pg_catalog.pg_backend_pid()"
# A key of 64 bits is stored in two halves; objsubid 1 says so.
_HOLDER = """
SELECT l.pid = pg_catalog.pg_backend_pid(), l.pid, a.application_name, pg_catalog.host(a.client_addr)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.classid = (($1::bigint >> 32) & 4294967295)::oid AND l.objid = ($1::bigint & 4294967295)::oid
"""


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
                hint = "find out why lock's server does not come up, or fix its address" if late else step.hint
                raise StepFailed(step.reason, hint=hint)

    def watch(self, *, on_lost: Callable[[], object]) -> None:
        """Watch the lock from another thread; call `on_lost` from there, once, when it is gone.

        Args:
            on_lost: must not raise; `lost` says why.
        """
        self._watcher = Thread(target=self._watch, args=(on_lost,), daemon=True, name="inithold-lock")
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

    def _watch(self, on_lost: Callable[[], object]) -> None:
        self._session.bounds = self._released
        poller = select.poll()
        poller.register(self._woken.fileno(), select.POLLIN)
        try:
            if (connection := self._session.connection) is not None:
                poller.register(connection.raw.fileno(), select.POLLIN)
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


class _Holder(NamedTuple):
    ours: bool
    pid: int
    application: str | None
    client: str | None

    def __str__(self) -> str:
        at = f", {self.client}" if self.client else ""
        return f"held by {self.application or 'another process'}{at} (server process {self.pid})"


class _Session:
    """The connection that holds the lock, or is to. It outlives the steps that use it, whose bounds it passes on.

    Args:
        address: of the database.
        name: of the plan.
    """

    def __init__(self, address: Address, name: str) -> None:
        self.connection: Connection | None = None
        self.bounds: Bounds
        self._address = address
        self._name = name
        self._key = 0
        self._closed = False
        self._busy = Mutex()
        self._other = "held by another process"
        self._looked_at = 0.0

    def remaining(self, most: float) -> float:
        return self.bounds.remaining(most)

    def check_cancelled(self) -> None:
        self.bounds.check_cancelled()

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        return self.bounds.on_cancel(action)

    def connect(self, context: StepContext) -> None:
        """Connect where there is no connection.

        Raises:
            NotYet: the server cannot be reached yet.
            StepFailed: it says no, or a proxy before it pools transactions.
        """
        from inithold.steps.postgres.connection import connect, explained  # noqa: PLC0415 - heavy

        with self._used():
            self.bounds = context
            if self.connection is not None:
                return
            name = f"inithold {self._name} on {socket.gethostname()}"
            try:
                self.connection = connect(self._address, self, application_name=name, silence=SILENCE)
            except Rejected as error:
                error.hint = "check user, password and database of lock: it is taken before any step runs"
                raise
            with explained(self.connection.where):
                _refuse_pooling(self.connection, lambda: connect(self._address, self, application_name=name))
            rows = self.connection.rows("SELECT pg_catalog.current_database()", seconds=ANSWER_WITHIN)
            # PostgreSQL's keys are signed.
            digest = hashlib.sha256(f"inithold\0{self._name}\0{rows[0][0]}".encode()).digest()
            self._key = int.from_bytes(digest[:8], signed=True)

    def holder(self) -> _Holder | None:
        """Who holds the lock; None for nobody.

        Raises:
            NotYet, StepFailed: the connection is lost; the next `connect` makes another.
        """
        rows = self._rows(_HOLDER, seconds=UNANSWERED)
        return _Holder(*rows[0]) if rows else None

    def take(self) -> None:
        """Take the lock.

        Raises:
            NotYet: another one has it, or the connection is lost.
        """
        if self._rows("SELECT pg_catalog.pg_try_advisory_lock($1::bigint)")[0][0]:
            return
        if time.monotonic() - self._looked_at >= LOOK:
            self._other, self._looked_at = str(self.holder() or "held by another process"), time.monotonic()
        raise NotYet(self._other, within=POLL)

    def verify(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            StepError: it is not, or it cannot be told any more.
        """
        holder = self.holder()
        if holder is None or not holder.ours:
            raise StepFailed(
                f"{self._address.shown}: the server no longer has the lock",
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

    def _rows(self, query: str, *, seconds: float = ANSWER_WITHIN) -> Sequence[tuple[Any, ...]]:
        with self._used():
            if self.connection is None:
                raise NotYet("the connection to the server of lock is lost")
            return self.connection.rows(query, self._key, seconds=seconds)

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Use the connection, which is lost where that fails, and where it was closed meanwhile."""
        with self._busy:
            if self._closed:
                raise Interrupted("released")
            try:
                yield
            except BaseException:
                self._drop()
                raise
            finally:
                if self._closed:
                    self._drop()

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


def _refuse_pooling(connection: Connection, again: Callable[[], Connection]) -> None:
    """Make sure that a lock of this session would hold.

    A proxy tells clients of a server process that is none. Behind one, two clients ask in turns which process
    serves them: where sessions are pooled, each keeps its own; where transactions are, a process serves both, or a
    client gets another one.

    Args:
        connection: the one that is to hold the lock.
        again: makes another one to the same place.

    Raises:
        StepFailed: the proxy pools transactions.
        NotYet: it gives us no server at the moment.
    """
    ((own,),) = connection.rows(_WHO, seconds=ANSWER_WITHIN)
    if own == connection.raw.info.backend_pid:
        return
    with closing(again()) as other:
        clients = (connection, other)
        pids: tuple[set[bytes], set[bytes]] = (set(), set())
        for turn in _TURNS:
            if (pid := _process_of(clients[turn])) is not None:
                pids[turn].add(pid)
                continue
            # The proxy has no server for the second client, and the first is idle: were transactions pooled, its
            # server would have been given away, and it would now wait behind the second.
            if turn == 0 or _process_of(connection) is None:
                raise NotYet(f"{connection.where}: the proxy before the server gives no connection")
            return
        if pids[0] & pids[1] or len(pids[0]) > 1 or len(pids[1]) > 1:
            raise StepFailed(
                f"{connection.where}: a proxy pools transactions, and a lock does not survive that",
                hint="give lock the server's own address, or a pool in session mode",
            )


def _process_of(connection: Connection) -> bytes | None:
    """The server process of a connection, None where no answer comes in time; the connection goes on waiting."""
    handle = connection.raw.pgconn
    handle.send_query(_WHO.encode())
    handle.flush()
    if not select.select([handle.socket], [], [], _PATIENCE)[0]:
        return None
    pid: bytes | None = None
    while (result := handle.get_result()) is not None:
        pid = result.get_value(0, 0) or pid
    return pid


class _Server(Step, frozen=True, kw_only=True):
    """The server of the lock answers."""

    kind = "lock.server"
    waits = True

    session: Any

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
