"""What init made, looked at by a client of its servers: the schema takes rows, the topology takes messages."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from pika.adapters.blocking_connection import BlockingChannel
from services import broker, database
from services.models import Base, GuildConfiguration
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import IntegrityError


@pytest.fixture
def db() -> Iterator[Connection]:
    with database.connect(*Base.metadata.tables).connect() as connection:
        yield connection


@pytest.fixture
def channel() -> Iterator[BlockingChannel]:
    exchanges = ("game_events", "game_events.dlx", "game_events.retry")
    queues = ("bot_events", "dead_letters", "retry_delay", "parked_events")
    with broker.channel(exchanges=exchanges, queues=queues) as channel:
        for queue in queues:
            channel.queue_purge(queue)
        yield channel


def next_message(channel: BlockingChannel, queue: str) -> bytes:
    """The body of the queue's next message, which is rejected as a service rejects what it cannot do."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        delivery, _properties, body = channel.basic_get(queue)
        if delivery is not None:
            channel.basic_reject(delivery.delivery_tag, requeue=False)
            return bytes(body)
        time.sleep(0.05)
    raise AssertionError(f"nothing came into {queue}")


def test_the_schema_is_at_the_newest_revision(db: Connection) -> None:
    heads = ScriptDirectory.from_config(Config("alembic.ini")).get_heads()
    assert [row.version_num for row in db.execute(text("SELECT version_num FROM alembic_version"))] == heads


def test_the_schema_keeps_what_must_be_unique(db: Connection) -> None:
    guild = insert(GuildConfiguration).values(discord_id=4711, name="guild")
    db.execute(guild)
    with pytest.raises(IntegrityError, match="guild_configurations_discord_id_key"):
        db.execute(guild)


def test_what_the_bot_rejects_becomes_a_dead_letter(channel: BlockingChannel) -> None:
    broker.publish(channel, "game_events", "game.session.announced", b"hello")
    assert next_message(channel, "bot_events") == b"hello"
    assert next_message(channel, "dead_letters") == b"hello"


def test_what_waits_for_a_retry_returns_to_its_queue(channel: BlockingChannel) -> None:
    broker.publish(channel, "game_events.retry", "bot_events", b"again", expiration="50")
    assert next_message(channel, "bot_events") == b"again"
