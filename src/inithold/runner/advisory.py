"""Advisory locks of PostgreSQL, and whether one holds through what is between us and the server.

See https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import hashlib
import select
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from inithold.errors import NotYet, StepFailed

if TYPE_CHECKING:
    from inithold.steps.postgres.connection import Connection

ANSWER_WITHIN = 10.0
_PATIENCE = 2.0
"""Seconds after which a proxy that gives a second client no server is taken not to have one to spare."""
_TURNS = (0, 1, 1, 0, 1, 0, 0, 1)
"""Which of two clients asks next. No way to hand out servers gives both the same one each time by chance."""

# A key of 64 bits is stored in two halves; objsubid 1 says so.
_HOLDER = """
SELECT l.pid = pg_catalog.pg_backend_pid(), l.pid, a.application_name, pg_catalog.host(a.client_addr)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.classid = (($1::bigint >> 32) & 4294967295)::oid AND l.objid = ($1::bigint & 4294967295)::oid
"""


class Held(NamedTuple):
    """Who holds a lock.

    Attributes:
        ours: whether it is the connection that asked.
        pid: of the server's process.
        application: what the holder calls itself, where the server shows it.
        client: its address, where the server shows it.
    """

    ours: bool
    pid: int
    application: str
    client: str

    def __str__(self) -> str:
        at = f", {self.client}" if self.client else ""
        return f"held by {self.application or 'another process'}{at} (server process {self.pid})"


def key_of(name: str, connection: Connection) -> int:
    """The key of a plan's lock: a hash of its name and the database's, as PostgreSQL takes it, signed."""
    ((database,),) = connection.rows("SELECT pg_catalog.current_database()", seconds=ANSWER_WITHIN)
    digest = hashlib.sha256(f"inithold\0{name}\0{database}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def try_lock(connection: Connection, key: int) -> bool:
    """Take the lock if it is free."""
    taken: bool
    ((taken,),) = connection.rows("SELECT pg_catalog.pg_try_advisory_lock($1::bigint)", key, seconds=ANSWER_WITHIN)
    return taken


def state(connection: Connection, key: int, *, seconds: float = ANSWER_WITHIN) -> Held | None:
    """Who holds the lock; None for nobody."""
    rows = connection.rows(_HOLDER, key, seconds=seconds)
    held = [Held(ours, pid, application or "", client or "") for ours, pid, application, client in rows]
    return held[0] if held else None


def refuse_pooling(connection: Connection, again: Callable[[], Connection]) -> None:
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
    ((pid,),) = connection.rows(_WHO, seconds=ANSWER_WITHIN)
    if pid == connection.raw.info.backend_pid:
        return
    with closing(again()) as other:
        clients = (connection, other)
        pids: tuple[set[bytes], set[bytes]] = (set(), set())
        for turn in _TURNS:
            if (pid := _asked(clients[turn])) is None:
                _told_apart_by_waiting(turn, connection)
                return
            pids[turn].add(pid)
        if pids[0] & pids[1] or len(pids[0]) > 1 or len(pids[1]) > 1:
            raise _pooled(connection)


_WHO = "SELECT pg_catalog.pg_backend_pid()"


def _asked(connection: Connection) -> bytes | None:
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


def _told_apart_by_waiting(turn: int, connection: Connection) -> None:
    # The proxy has no server for the second client, and the first is idle: were transactions pooled, its server
    # would have been given away, and it would now wait behind the second.
    if turn == 0:
        raise NotYet(f"{connection.where}: the proxy before the server gives no connection")
    if _asked(connection) is None:
        raise NotYet(f"{connection.where}: the proxy before the server gives no connection")


def _pooled(connection: Connection) -> StepFailed:
    return StepFailed(
        f"{connection.where}: a proxy before the server pools transactions, and no lock holds through it",
        hint="give lock the server's own address, or a pool in session mode",
    )
