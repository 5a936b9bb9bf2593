"""A plan's lock: of replicas started together, one applies and the others wait.

It is a session-level advisory lock of PostgreSQL, held by a connection that does nothing else. It needs no table,
is released when the process that holds it ends in any way, and is local to the database:
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS

Taking it is a hidden plan of two steps: the server answers, and this run's session holds the lock.
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
from typing import TYPE_CHECKING, Any

from inithold.errors import Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.plan.model import CheckedPlan, PlannedStep
from inithold.runner.context import Context
from inithold.runner.events import Event, Span, StepWaiting
from inithold.runner.run import Runner
from inithold.runner.stream import Stream, Watcher
from inithold.steps.address import parse
from inithold.steps.base import Change, SessionLock, Step, StepContext

if TYPE_CHECKING:
    from inithold.net.bounds import Bounds
    from inithold.steps.postgres.connection import Connection

SERVER_TIMEOUT = 600.0
"""Seconds to wait for the server to come up, as for `database.ready`."""
POLL = 0.5
"""Most seconds between two tries.

Polled, because a blocking `pg_advisory_lock` holds a snapshot: a migration with CREATE INDEX CONCURRENTLY under
the lock would wait for that snapshot forever.
"""
LOOK = 2.0
"""Seconds between two checks of who holds the lock."""
SILENCE = 10
"""Seconds without a TCP answer after which the connection counts as lost."""
UNANSWERED = 30.0
"""The same if the machine answers, but the server does not."""
ANSWER_WITHIN = 10.0
LEFT_WITHIN = 5.0
"""Most seconds to wait for what an earlier, killed run has left on the server, which ends it within 1 s.

A proxy that pools transactions may keep a session, and its shared lock, for longer.
"""
_PATIENCE = 2.0
"""Seconds after which a proxy that has not given the second client a server is taken to have none left."""
_TURNS = (0, 1, 1, 0, 1, 0, 0, 1)
"""The order in which two clients ask, so irregular that no pooling strategy matches it by chance."""
_WHO = "SELECT pg_catalog.pg_backend_pid()"
# pg_locks splits a 64-bit key into two halves and marks it with objsubid 1.
_HOLDER = """
SELECT l.pid = pg_catalog.pg_backend_pid(), l.pid, a.application_name, pg_catalog.host(a.client_addr)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid = (($1::bigint >> 32) & 4294967295)::oid AND l.objid = ($1::bigint & 4294967295)::oid
"""
_HERE = " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"


class Lock:
    """The lock of one plan on one database.

    Its connection outlives the steps that use it, and takes its bounds (`net.bounds.Bounds`) from the current one.

    Args:
        url: URL of a PostgreSQL database.
        plan_name: the plan's name, which is part of the key: plans with other names have other locks.
        say: called with the reason for the wait and the seconds waited so far, when the reason changes and every
            few seconds, from another thread.
        while_waiting: as for `Runner`.

    Raises:
        ValueError: `url` is no PostgreSQL URL.
    """

    def __init__(
        self,
        url: str,
        plan_name: str,
        say: Callable[[str, float], object],
        while_waiting: Callable[[], object] = lambda: None,
    ) -> None:
        self.lost = ""
        """Why the lock was lost, for people; empty while it is held."""
        self._address = parse(url, ["postgresql"])
        self._name = plan_name
        self._key = 0
        self._session_key = 0
        self._run = os.urandom(8).hex()
        self._taken_at: float | None = None
        self._connection: Connection | None = None
        self._bounds: Bounds
        self._busy = Mutex()
        self._other = ""
        """Who else holds it, for people."""
        steps = (
            PlannedStep("server", _Server(lock=self), timeout=SERVER_TIMEOUT),
            PlannedStep("lock", _Taken(lock=self), needs=("server",)),
        )
        plan, stream = CheckedPlan("lock", steps, ""), Stream([_Waiting(say)])
        self._runner = Runner(plan, stream, Span.root(), while_waiting=while_waiting)
        self._released = Context("lock", Span.root(), Stream(()), None)
        self._wake, self._woken = socket.socketpair()
        self._watcher: Thread | None = None

    @property
    def session_lock(self) -> SessionLock:
        """For the run's sessions, in whatever database of the server."""
        return SessionLock(self._session_key, self._run)

    def cancel(self, reason: str) -> None:
        """End the wait at once. Safe from signal handlers and any thread."""
        self._runner.cancel(reason)

    def acquire(self) -> None:
        """Wait for the server, then for the lock.

        Raises:
            Interrupted: cancelled.
            StepFailed: the server refuses, does not come up in 10 minutes, or is behind a proxy that pools
                transactions.
        """
        result = self._runner.run()
        if result.outcome == "cancelled":
            raise Interrupted(result.reason)
        for step in result.steps:
            if step.outcome == "failed":
                late = step.exception == "TimeoutError"
                hint = "find out why lock's server does not come up, or fix its address" if late else step.hint
                raise StepFailed(step.reason, hint=hint)

    def watch(self, *, on_lost: Callable[[], object]) -> None:
        """Watch the lock in another thread.

        Args:
            on_lost: called once from that thread when the lock is lost; `lost` says why. Must not raise.
        """
        self._watcher = Thread(target=self._watch, args=(on_lost,), daemon=True, name="inithold-lock")
        self._watcher.start()

    def release(self) -> None:
        """Release the lock; safe to call in any state, and twice."""
        if self._released.stop.is_set():
            return
        self._released.stop.set("released")
        self._wake.close()
        if self._watcher is not None:
            # The watcher closes the connection, which only one thread may use.
            self._watcher.join(timeout=1.0)
            return
        self._woken.close()
        self._close()

    def _watch(self, on_lost: Callable[[], object]) -> None:
        self._bounds = self._released
        poller = select.poll()
        poller.register(self._woken.fileno(), select.POLLIN)
        try:
            if (connection := self._connection) is not None:
                poller.register(connection.raw.fileno(), select.POLLIN)
            while not self._released.stop.is_set():
                poller.poll(LOOK * 1000)
                if not self._released.stop.is_set() and not self.held():
                    self.lost = f"{self._address.shown}: the server no longer has the lock"
                    on_lost()
                    return
        except Interrupted:
            return
        except Exception as error:  # noqa: BLE001 - after any error, the lock may be gone
            self.lost = error.message if isinstance(error, StepError) else f"{type(error).__name__}: {error}"
            on_lost()
        finally:
            self._close()
            self._woken.close()

    # -- the connection, also for the hidden plan's steps

    def remaining(self, most: float) -> float:
        return self._bounds.remaining(most)

    def check_cancelled(self) -> None:
        self._bounds.check_cancelled()

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        return self._bounds.on_cancel(action)

    def connect(self, context: StepContext) -> None:
        """Connect, unless connected.

        Raises:
            NotYet: the server cannot be reached yet.
            StepFailed: the server refuses, or a proxy in front of it pools transactions.
        """
        from inithold.steps.postgres.connection import connect, explained  # noqa: PLC0415 - heavy

        with self._used():
            self._bounds = context
            if self._connection is not None:
                return
            name = f"inithold {self._name} on {socket.gethostname()}"
            try:
                self._connection = connect(self._address, self, application_name=name, silence=SILENCE)
            except Rejected as error:
                error.hint = "check user, password and database of lock: it is taken before any step runs"
                raise
            with explained(self._connection.where):
                _refuse_pooling(self._connection, lambda: connect(self._address, self, application_name=name))
            rows = self._connection.rows("SELECT pg_catalog.current_database()", seconds=ANSWER_WITHIN)
            # PostgreSQL's lock keys are signed.
            keys = (f"{prefix}\0{self._name}\0{rows[0][0]}" for prefix in ("inithold", "inithold sessions"))
            digests = (hashlib.sha256(key.encode()).digest() for key in keys)
            self._key, self._session_key = (int.from_bytes(digest[:8], signed=True) for digest in digests)
            self._taken_at = None

    def held(self) -> bool:
        """Whether this session holds the lock; remembers which other one does.

        Raises:
            NotYet, StepFailed: the connection is lost; the next `connect` makes another.
        """
        rows = self._rows(_HOLDER + _HERE, self._key, seconds=UNANSWERED)
        self._other = ""
        if rows:
            _, pid, application, client = rows[0]
            at = f", {client}" if client else ""
            self._other = f"held by {application or 'another process'}{at} (server process {pid})"
        return bool(rows and rows[0][0])

    def take(self) -> None:
        """Take the lock.

        Raises:
            NotYet: another session holds it, or the connection is lost.
        """
        if self._rows("SELECT pg_catalog.pg_try_advisory_lock($1::bigint)", self._key)[0][0]:
            return
        if not self._other:
            self.held()
        raise NotYet(self._other or "held by another process", within=POLL)

    def wait_for_sessions(self) -> None:
        """Wait for what an earlier run, which was killed with all its processes, has left on the server.

        Raises:
            NotYet: a session of it is still there.
        """
        if self._taken_at is None:
            self._taken_at = time.monotonic()
        if time.monotonic() - self._taken_at > LEFT_WITHIN:
            return
        if rows := self._rows(_HOLDER, self._session_key):
            raise NotYet(f"an earlier run's statement is still running (server process {rows[0][1]})", within=POLL)

    def _rows(self, query: str, key: int, *, seconds: float = ANSWER_WITHIN) -> Sequence[tuple[Any, ...]]:
        with self._used():
            if self._connection is None:
                raise NotYet("the connection to the server of lock is lost")
            return self._connection.rows(query, key, seconds=seconds)

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Use the connection exclusively; drop it on an error, or if the lock was released meanwhile."""
        with self._busy:
            if self._released.stop.is_set():
                raise Interrupted("released")
            try:
                yield
            except BaseException:
                self._drop()
                raise
            finally:
                if self._released.stop.is_set():
                    self._drop()

    def _close(self) -> None:
        """Drop the connection; if another thread is using it, that thread drops it afterwards."""
        if self._busy.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._busy.release()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _refuse_pooling(connection: Connection, again: Callable[[], Connection]) -> None:
    """Refuse a proxy that pools transactions, which no session lock survives.

    A proxy announces a backend pid that is not the server process's. If so, two clients ask in turns which process
    serves them: with session pooling each keeps its own; with transaction pooling one process serves both, or a
    client's process changes.

    Args:
        again: opens another connection to the same address.

    Raises:
        StepFailed: the proxy pools transactions.
        NotYet: the proxy has no free server connection at the moment.
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
            # The second client gets no server although the first is idle. A proxy that pools transactions would
            # have given it the first one's server, and the first client would now have to wait.
            if turn == 0 or _process_of(connection) is None:
                raise NotYet(f"{connection.where}: the proxy before the server gives no connection")
            return
        if pids[0] & pids[1] or len(pids[0]) > 1 or len(pids[1]) > 1:
            raise StepFailed(
                f"{connection.where}: a proxy pools transactions, and a lock does not survive that",
                hint="give lock the server's own address, or a pool in session mode",
            )


def _process_of(connection: Connection) -> bytes | None:
    """The pid of the server process behind a connection; None if no answer came in time (the query goes on)."""
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

    lock: Any

    def check(self, context: StepContext) -> Sequence[Change]:
        self.lock.connect(context)
        return ()


class _Taken(Step, frozen=True, kw_only=True):
    """This run's own session holds the lock."""

    kind = "lock.taken"

    lock: Any

    def check(self, context: StepContext) -> Sequence[Change]:
        try:
            self.lock.connect(context)
        except NotYet as error:
            # Drop the probe: whatever listens on the port now must not be waited for forever.
            raise NotYet(error.message, hint=error.hint) from error
        if not self.lock.held():
            return (Change("+", "lock"),)
        self.lock.wait_for_sessions()
        return ()

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - the interface's
        self.lock.take()


class _Waiting(Watcher):
    """The only watcher of the hidden plan: passes on why it waits."""

    def __init__(self, say: Callable[[str, float], object]) -> None:
        self._say = say

    def see(self, event: Event) -> None:
        if isinstance(event, StepWaiting):
            self._say(f"{event.reason} ({event.hint})" if event.hint else event.reason, event.elapsed)
