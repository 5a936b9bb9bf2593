"""The lock of a plan: of replicas started together one applies, the others wait.

It is a session-level advisory lock of PostgreSQL, held by a connection that does nothing else. It needs no table,
it goes with the process that holds it, however that ends, and it is per database, as PostgreSQL has it.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Thread, Timer
from threading import Lock as Mutex
from typing import TYPE_CHECKING

from inithold.errors import Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.runner.advisory import Held, key_of, refuse_pooling, state, try_lock
from inithold.runner.context import Stop
from inithold.runner.retry import Waiting, pause
from inithold.steps.address import Address, parse
from inithold.text.duration import short

if TYPE_CHECKING:
    from inithold.steps.postgres.connection import Connection

Say = Callable[[str, float], object]
"""Told why the lock is not ours yet, and the seconds waited so far; called from another thread."""
OnLost = Callable[[], object]

SERVER_TIMEOUT = 600.0
"""Seconds without the server before waiting for it is given up, as for `database.ready`."""
POLL = (0.1, 0.5)
"""Seconds between two tries, at first and at most.

It is polled: a `pg_advisory_lock` that blocks holds a snapshot, and a migration with CREATE INDEX CONCURRENTLY
under the lock would wait for that snapshot for ever.
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
        self._address = parse(url, ["postgresql"])
        self._name = plan_name
        self._released = Stop()
        self._wake, self._woken = socket.socketpair()
        self._held: _Holding | None = None
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
        # Nothing that blocks, such as a resolver without an answer, is done in the thread that must end at once.
        attempt = _Attempt(self._address, self._name, stop, say)
        Thread(target=attempt.run, daemon=True, name="inithold-lock").start()
        self._held = attempt.result()

    def watch(self, *, on_lost: OnLost) -> None:
        """Watch the lock from another thread; call `on_lost` from there, once, when it is gone.

        Args:
            on_lost: must not raise; `lost` says why.
        """
        if self._held is None:
            return
        self._watcher = Thread(target=self._watch, args=(self._held, on_lost), daemon=True, name="inithold-lock")
        self._watcher.start()

    def release(self) -> None:
        """Give the lock up; safe to call in any state, also twice."""
        if self._released.is_set():
            return
        self._released.set("released")
        self._wake.close()
        if self._watcher is not None:
            # It closes the connection itself: libpq's are not for two threads.
            self._watcher.join(timeout=1.0)
            return
        self._woken.close()
        if self._held is not None:
            self._held.connection.close()

    def _watch(self, held: _Holding, on_lost: OnLost) -> None:
        held.bounds.stop = self._released
        poller = select.poll()
        poller.register(held.connection.raw.fileno(), select.POLLIN)
        poller.register(self._woken.fileno(), select.POLLIN)
        try:
            while not self._released.is_set():
                poller.poll(LOOK * 1000)
                if not self._released.is_set():
                    held.verify()
        except Interrupted:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody can vouch for the lock any more
            self.lost = error.message if isinstance(error, StepError) else f"{type(error).__name__}: {error}"
            on_lost()
        finally:
            held.connection.close()
            self._woken.close()


class _Bounds:
    """Ends the waits of a connection with whatever stop applies at the time."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def remaining(self, most: float) -> float:
        return most

    def check_cancelled(self) -> None:
        if self.stop.is_set():
            raise Interrupted(self.stop.reason)

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        return self.stop.calling(action)


class _Holding:
    """A connection that holds a lock."""

    def __init__(self, connection: Connection, bounds: _Bounds, key: int) -> None:
        self.connection = connection
        self.bounds = bounds
        self.key = key

    def verify(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            StepError: it is not, or it cannot be told any more.
        """
        from inithold.steps.postgres.connection import explained  # noqa: PLC0415 - only where there is a lock

        with explained(self.connection.where):
            holder = state(self.connection, self.key, seconds=UNANSWERED)
        if holder is None or not holder.ours:
            raise StepFailed(
                f"{self.connection.where}: the server no longer has the lock",
                hint="look for who ends connections there: a proxy, a failover, pg_terminate_backend",
            )


class _Attempt:
    """Taking the lock, in a thread of its own."""

    def __init__(self, address: Address, name: str, stop: Stop, say: Say) -> None:
        self._address = address
        self._name = name
        self._stop = stop
        self._say = say
        self._waiting = Waiting(self._say_waiting)
        self._done = Event()
        self._handover = Mutex()
        self._abandoned = False
        self._held: _Holding | None = None
        self._error: BaseException | None = None

    def result(self) -> _Holding:
        """Wait for the outcome, or for the stop."""
        while not self._done.wait(0.05):
            if self._stop.is_set() and self._abandon():
                raise Interrupted(self._stop.reason)
        if self._error is not None:
            raise self._error
        assert self._held is not None  # noqa: S101 - done without an error
        return self._held

    def run(self) -> None:
        """Take the lock; never raises."""
        try:
            self._held = self._take()
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is waited for
            self._error = error
        with self._handover:
            if self._abandoned and self._held is not None:
                self._held.connection.close()
            self._done.set()

    def _abandon(self) -> bool:
        with self._handover:
            self._abandoned = not self._done.is_set()
            return self._abandoned

    def _say_waiting(self, seen: NotYet, elapsed: float) -> None:
        self._say(f"{seen.message} ({seen.hint})" if seen.hint and elapsed >= 5 else seen.message, elapsed)

    def _take(self) -> _Holding:
        while True:
            held = self._connect()
            try:
                self._poll(held)
                held.verify()
            except NotYet as lost:
                held.connection.close()
                pause(lost, None, 1, self._stop, self._waiting)
            except BaseException:
                held.connection.close()
                raise
            else:
                return held

    def _connect(self) -> _Holding:
        """Wait for the server, as `database.ready` does."""
        patience = Stop()
        timer = Timer(SERVER_TIMEOUT, lambda: patience.set(f"waited {short(SERVER_TIMEOUT)}", failed=True))
        timer.daemon = True
        timer.start()
        try:
            with self._stop.calling(lambda: patience.set(self._stop.reason)):
                return self._connected(patience)
        except Interrupted:
            if not patience.failed:
                raise
            seen = self._waiting.last
            raise StepFailed(
                f"{seen.message if seen else 'no answer'} ({patience.reason})",
                hint=(seen and seen.hint) or "see why the server of lock does not come, or mend its address",
            ) from None
        finally:
            timer.cancel()

    def _connected(self, patience: Stop) -> _Holding:
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._once(patience)
            except NotYet as seen:
                pause(seen, None, attempt, patience, self._waiting)
            except Rejected as error:
                error.hint = "check user, password and database of lock: it is taken before any step runs"
                raise

    def _once(self, patience: Stop) -> _Holding:
        from inithold.steps.postgres.connection import connect, explained  # noqa: PLC0415 - heavy

        bounds = _Bounds(patience)
        name = f"inithold {self._name} on {socket.gethostname()}"
        connection = connect(self._address, bounds, application_name=name, silence=SILENCE)
        try:
            with explained(connection.where):
                refuse_pooling(connection, lambda: connect(self._address, bounds, application_name=name))
                key = key_of(self._name, connection)
        except BaseException:
            connection.close()
            raise
        bounds.stop = self._stop
        return _Holding(connection, bounds, key)

    def _poll(self, held: _Holding) -> None:
        from inithold.steps.postgres.connection import explained  # noqa: PLC0415 - heavy

        delay, looked = POLL[0], 0.0
        holder: Held | None = None
        with explained(held.connection.where):
            while not try_lock(held.connection, held.key):
                if time.monotonic() - looked >= LOOK:
                    holder, looked = state(held.connection, held.key), time.monotonic()
                self._waiting.note(NotYet(str(holder) if holder else "held by another process"))
                if self._stop.wait(delay * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter is no secret
                    raise Interrupted(self._stop.reason)
                delay = min(delay * 1.2, POLL[1])
