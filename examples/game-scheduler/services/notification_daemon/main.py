"""Sends what is due from the notification schedule to the exchange.

The schedule is an outbox: the service that causes a notification writes it in the same transaction. This daemon
locks a row, publishes it with publisher confirms, and marks it, in one transaction. After a crash in between, a
message may be sent twice with the same id, but is never lost. Several of these daemons share the work."""

from __future__ import annotations

import os
import sys
from threading import Event
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services import broker, daemon, database
from services.models import Notification

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "1"))
BATCH = 50


def message(notification: Notification) -> dict[str, Any]:
    session = notification.session
    return {
        "event": notification.kind,
        "notification": notification.id,
        "channel": str(session.channel.discord_id),
        "session": {
            "id": session.id,
            "title": session.title,
            "game": session.game,
            "starts_at": session.starts_at.isoformat(),
            "players": [str(player.discord_id) for player in session.players],
        },
    }


def send_due(db: Session, channel: BlockingChannel) -> int:
    """Send one batch in the caller's transaction. Returns how many were sent."""
    due = select(Notification).where(Notification.sent_at.is_(None), Notification.due_at <= func.now())
    locked = due.order_by(Notification.due_at, Notification.id).limit(BATCH).with_for_update(skip_locked=True)
    rows = db.scalars(locked).all()
    for row in rows:
        routing_key = f"game.session.{row.kind}"
        broker.publish(channel, "game_events", routing_key, message(row), message_id=str(row.id))
        row.sent_at = func.now()
        daemon.log.info("sent %s of session %d", row.kind, row.session_id)
    return len(rows)


def work(stop: Event) -> None:
    engine = database.connect(Notification.__tablename__)
    with broker.channel(exchanges=("game_events",)) as channel:
        daemon.log.info("notification-daemon looks every %g s", POLL_SECONDS)
        while not stop.is_set():
            with Session(engine) as db, db.begin():
                sent = send_due(db, channel)
            channel.connection.process_data_events()  # heartbeats, also while nothing is due
            daemon.alive()
            stop.wait(0 if sent == BATCH else POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(daemon.run("notification-daemon", work, lost=broker.LOST + database.LOST))
