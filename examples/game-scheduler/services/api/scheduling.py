"""What the API does in the database, each in the caller's transaction."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.api.messages import NewSession, Player
from services.models import (
    Base,
    ChannelConfiguration,
    GameSession,
    GuildConfiguration,
    Notification,
    Participant,
    StatusChange,
    User,
)

# A guild that is new is reminded of its sessions this long before they start.
REMINDER = timedelta(seconds=float(os.environ.get("REMINDER_SECONDS", "3600")))


class RefusedError(Exception):
    """The session cannot be joined; the text says why."""


def upsert(db: Session, model: type[Base], values: dict[str, Any], update: str) -> int:
    """Insert a row or, where its Discord id is known, set the column `update`. Returns the row's id."""
    statement = insert(model).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["discord_id"], set_={update: getattr(statement.excluded, update)}
    )
    return int(db.execute(statement.returning(model.__table__.c.id)).scalar_one())


def create(db: Session, new: NewSession) -> GameSession:
    """The session with all that is owed for it, in one transaction: nothing is announced that is not there."""
    guild = {"discord_id": new.guild_id, "name": str(new.guild_id), "reminder_before": REMINDER}
    guild_id = upsert(db, GuildConfiguration, guild, "discord_id")
    channel_id = upsert(
        db, ChannelConfiguration, {"discord_id": new.channel_id, "guild_id": guild_id}, "discord_id"
    )
    host_id = upsert(db, User, new.host.model_dump(), "display_name")
    fields = new.model_dump(include={"title", "game", "starts_at", "ends_at", "max_players"})
    session = GameSession(channel_id=channel_id, host_id=host_id, **fields)
    db.add(session)
    db.flush()
    now = datetime.now(UTC)
    db.add(Participant(session_id=session.id, user_id=host_id))
    db.add(Notification(session_id=session.id, kind="announced", due_at=now))
    remind_at = new.starts_at - db.get_one(GuildConfiguration, guild_id).reminder_before
    if remind_at > now:  # a session that starts sooner has just been announced
        db.add(Notification(session_id=session.id, kind="reminder", due_at=remind_at))
    db.add(StatusChange(session_id=session.id, status="in_progress", due_at=new.starts_at))
    db.add(StatusChange(session_id=session.id, status="completed", due_at=new.ends_at))
    db.flush()
    db.refresh(session)
    return session


def join(db: Session, session: GameSession, player: Player) -> None:
    """Give the player a seat; again changes nothing. The caller has locked the session.

    Raises: RefusedError."""
    user_id = upsert(db, User, player.model_dump(), "display_name")
    if db.get(Participant, (session.id, user_id)):
        return
    if session.status != "scheduled":
        raise RefusedError("the session has started")
    taken = db.scalar(select(func.count()).select_from(Participant).filter_by(session_id=session.id))
    if taken is not None and taken >= session.max_players:
        raise RefusedError("the session is full")
    db.add(Participant(session_id=session.id, user_id=user_id))
    db.flush()
