"""Moves sessions from scheduled to in progress to completed at their times, and schedules the announcements."""

from __future__ import annotations

import os
import sys
from threading import Event

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services import daemon, database
from services.models import GameSession, Notification, StatusChange

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "1"))
BATCH = 50
COMES_AFTER = {"in_progress": "scheduled", "completed": "in_progress"}


def apply_due(db: Session) -> int:
    """Make one batch of changes in the caller's transaction. Returns how many were made."""
    due = (
        select(StatusChange, GameSession)
        .join(StatusChange.session)
        .where(StatusChange.applied_at.is_(None), StatusChange.due_at <= func.now())
        .order_by(StatusChange.due_at, StatusChange.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)  # locks both rows: a session's changes are made in order
    )
    rows = db.execute(due).all()
    for change, session in rows:
        change.applied_at = func.now()
        if session.status != COMES_AFTER.get(change.status):
            daemon.log.warning("session %d is %s, not made %s", session.id, session.status, change.status)
            continue
        session.status = change.status
        db.add(Notification(session_id=session.id, kind=change.status, due_at=func.now()))
        daemon.log.info("session %d is %s", session.id, change.status)
    return len(rows)


def work(stop: Event) -> None:
    engine = database.connect(StatusChange.__tablename__, GameSession.__tablename__, Notification.__tablename__)
    daemon.log.info("status-transition-daemon looks every %g s", POLL_SECONDS)
    while not stop.is_set():
        with Session(engine) as db, db.begin():
            made = apply_due(db)
        daemon.alive()
        stop.wait(0 if made == BATCH else POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(daemon.run("status-transition-daemon", work, lost=database.LOST))
