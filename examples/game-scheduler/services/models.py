"""The tables, as the services see them. The migrations make them; `alembic check` keeps the two together."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Interval,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), int: BigInteger, timedelta: Interval}


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    discord_id: Mapped[int] = mapped_column(unique=True)
    display_name: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class GuildConfiguration(Base):
    __tablename__ = "guild_configurations"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    discord_id: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(100))
    timezone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    reminder_before: Mapped[timedelta] = mapped_column(server_default=text("'01:00:00'::interval"))


class ChannelConfiguration(Base):
    __tablename__ = "channel_configurations"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    guild_id: Mapped[int] = mapped_column(ForeignKey("guild_configurations.id", ondelete="CASCADE"), index=True)
    discord_id: Mapped[int] = mapped_column(unique=True)
    guild: Mapped[GuildConfiguration] = relationship()


class GameTemplate(Base):
    __tablename__ = "game_templates"
    __table_args__ = (UniqueConstraint("guild_id", "name"),)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    guild_id: Mapped[int] = mapped_column(ForeignKey("guild_configurations.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    game: Mapped[str] = mapped_column(String(100))
    max_players: Mapped[int] = mapped_column(SmallInteger)
    duration: Mapped[timedelta]


class GameSession(Base):
    __tablename__ = "game_sessions"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("max_players > 0", name="max_players_positive"),
        CheckConstraint("status IN ('scheduled', 'in_progress', 'completed', 'cancelled')", name="known_status"),
        Index("ix_game_sessions_starts_at", "starts_at"),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channel_configurations.id"), index=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    template_id: Mapped[int | None] = mapped_column(ForeignKey("game_templates.id", ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(String(200))
    game: Mapped[str] = mapped_column(String(100))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    max_players: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(String(20), server_default="scheduled")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    channel: Mapped[ChannelConfiguration] = relationship()
    players: Mapped[list[User]] = relationship(secondary="participants", viewonly=True, order_by="User.id")


class Participant(Base):
    __tablename__ = "participants"
    session_id: Mapped[int] = mapped_column(ForeignKey("game_sessions.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Notification(Base):
    """A message that is owed to a channel from `due_at` on; written in the transaction that caused it."""

    __tablename__ = "notification_schedule"
    __table_args__ = (
        UniqueConstraint("session_id", "kind"),
        Index("ix_notification_schedule_due", "due_at", postgresql_where=text("sent_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("game_sessions.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    session: Mapped[GameSession] = relationship()


class StatusChange(Base):
    """A change of a session's status that is due at `due_at`."""

    __tablename__ = "status_schedule"
    __table_args__ = (
        UniqueConstraint("session_id", "status"),
        Index("ix_status_schedule_due", "due_at", postgresql_where=text("applied_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("game_sessions.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(20))
    due_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]
    session: Mapped[GameSession] = relationship()
