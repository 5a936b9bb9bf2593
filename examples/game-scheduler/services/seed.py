"""Test data: one guild with a channel, a template and a session in an hour. `--check` exits 0 if it exists."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from services import database
from services.api import scheduling
from services.api.messages import NewSession, Player
from services.models import Base, GameTemplate, GuildConfiguration

GUILD, CHANNEL, HOST = 100000000000000001, 100000000000000002, 100000000000000003


def seed(db: Session) -> None:
    start = datetime.now(UTC) + timedelta(hours=1)
    new = NewSession(
        guild_id=GUILD,
        channel_id=CHANNEL,
        host=Player(discord_id=HOST, display_name="Ada"),
        title="Test session",
        game="Chess",
        starts_at=start,
        ends_at=start + timedelta(hours=2),
    )
    guild = scheduling.create(db, new).channel.guild
    guild.name = "Test guild"
    db.add(GameTemplate(guild_id=guild.id, name="Chess", game="Chess", max_players=2, duration=timedelta(hours=2)))


def main(arguments: list[str]) -> int:
    with Session(database.connect(*Base.metadata.tables)) as db, db.begin():
        there = db.scalar(select(GuildConfiguration.id).filter_by(discord_id=GUILD)) is not None
        if arguments == ["--check"]:
            return 0 if there else 1
        if not there:
            seed(db)
            print("made the test guild with one session")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
