"""On MySQL and MariaDB: no revision runs beside a statement that a killed run has left on the server.

These servers complete a statement although its client is gone. So the session that runs revisions holds a named
lock, which ends with it: https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from inithold.steps.alembic.sessions import mysql_session
from inithold.steps.base import WorkerContext

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

_POLL = 0.1
_OWN: set[int] = set()
"""This process's sessions: a pool may keep them open."""


def wait_for(migration: MigrationContext, context: WorkerContext) -> None:
    """Wait until no other session runs the revisions of this version table, and keep others from it.

    With the plan's lock, another run of this plan that still has a session was killed: its session is ended.

    Raises:
        Interrupted: the step was told to stop.
    """
    raw: Any = migration.connection.connection if migration.connection else None
    if raw is None or migration.dialect.name not in ("mysql", "mariadb"):
        return
    marked = context.session_lock
    try:
        _OWN.add(mysql_session(raw))
        with closing(raw.cursor()) as cursor:
            database = _value(cursor, "SELECT DATABASE()")
            place = (database, migration.version_table_schema, migration.version_table)
            name = f"inithold {hashlib.sha256(repr(place).encode()).hexdigest()[:32]}"
            if marked is None:
                _take(cursor, name, context)
                return
            # First among the steps of this run, so that whoever has the next lock is of another run.
            _take(cursor, f"{name} {marked.run}", context)
            of_plan = f"{name} {marked.key}"
            _take(cursor, name, context, ends=of_plan)
            _take(cursor, of_plan, context)
    except Exception as error:  # noqa: BLE001 - of any driver; clusters have no such locks
        context.check_cancelled()
        context.log(f"no named lock for the revisions: {type(error).__name__}: {error}", level="debug")


def _take(cursor: Any, name: str, context: WorkerContext, *, ends: str = "") -> None:
    """Take a named lock, unless another session of this process has it.

    Args:
        ends: name of another lock; whoever has both is ended.
    """
    told = 0
    while _value(cursor, f"SELECT GET_LOCK('{name}', 0)") == 0:
        holder = _value(cursor, f"SELECT IS_USED_LOCK('{name}')")
        if holder in _OWN:
            return
        if holder and holder != told:
            told = holder
            if ends and _value(cursor, f"SELECT IS_USED_LOCK('{ends}')") == holder:
                context.log(f"ending what a killed run has left on the server: session {holder}")
                _end(cursor, holder, context)
            else:
                context.log(f"waiting: session {holder} runs these revisions, perhaps of a run that was killed")
        context.check_cancelled()
        time.sleep(_POLL)


def _end(cursor: Any, session: int, context: WorkerContext) -> None:
    try:
        cursor.execute(f"KILL {session}")
    except Exception as error:  # noqa: BLE001 - of any driver; it has ended, or another user's will end by itself
        context.log(f"KILL {session}: {type(error).__name__}: {error}", level="debug")


def _value(cursor: Any, query: str) -> Any:
    cursor.execute(query)
    return cursor.fetchone()[0]
