"""On a real Redis: REDIS_URL names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from inithold_redis_streams import Group

from inithold.testing import check, drive

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(URL) as client:
        yield client


@pytest.fixture
def stream(client: redis.Redis) -> Iterator[str]:
    """The key of a stream that is not there yet."""
    key = f"stream-{uuid4().hex[:8]}"
    yield key
    client.delete(key)


def test_made_once(stream: str, client: redis.Redis) -> None:
    step = Group(url=URL, stream=stream, group="bots")
    first = drive(step)
    assert (first.outcome, first.changes) == ("changed", (f"+ group bots of stream {stream}",))
    assert drive(step).outcome == "unchanged"
    assert [group["name"] for group in client.xinfo_groups(stream)] == [b"bots"]


def test_what_is_there_stays(stream: str, client: redis.Redis) -> None:
    client.xadd(stream, {"title": "Friday game"})
    client.xgroup_create(stream, "archive", id="0")
    assert drive(Group(url=URL, stream=stream, group="bots", start="0")).outcome == "changed"
    assert client.xlen(stream) == 1
    assert len(client.xinfo_groups(stream)) == 2


def test_a_check_changes_nothing(stream: str, client: redis.Redis) -> None:
    assert check(Group(url=URL, stream=stream, group="bots"))
    assert not client.exists(stream)


def test_a_key_that_is_no_stream(stream: str, client: redis.Redis) -> None:
    client.set(stream, "text")
    result = drive(Group(url=URL, stream=stream, group="bots"))
    assert result.outcome == "failed"
    assert "WRONGTYPE" in result.reason


def test_a_server_that_is_not_up_yet_is_waited_for() -> None:
    result = drive(Group(url="redis://127.0.0.1:9", stream="s", group="g"), timeout=1)
    assert result.outcome == "failed"
    assert "its time (1s) is up" in result.reason
    assert any("refused" in reason for reason in result.waited_for)


def test_a_rejected_password_fails_at_once_and_is_shown_nowhere(stream: str) -> None:
    wrong = f"redis://:wrong-password@{URL.rpartition('@')[2]}"
    result = drive(Group(url=wrong, stream=stream, group="bots"))
    assert (result.outcome, result.finished.attempts) == ("failed", 1)
    assert "wrong-password" not in str(result)
