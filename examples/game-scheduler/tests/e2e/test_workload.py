"""A session's whole life, by the services. Each post is refused once, becomes a dead letter and comes back."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

API, DISCORD = "http://api:8000", "http://discord:8080"


def posts_of(channel: int, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while True:
        posts = [post for post in httpx.get(f"{DISCORD}/posts").json() if post["channel"] == str(channel)]
        if len(posts) >= count:
            return posts
        assert time.monotonic() < deadline, f"{len(posts)} of {count} posts: {posts}"
        time.sleep(0.2)


def test_a_session_is_announced_reminded_of_started_and_over() -> None:
    start = datetime.now(UTC) + timedelta(seconds=6)
    channel = time.time_ns() // 1000  # no other run's
    new = {
        "guild_id": channel,
        "channel_id": channel,
        "host": {"discord_id": 1, "display_name": "Ada"},
        "title": "Friday game",
        "game": "Chess",
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(seconds=3)).isoformat(),
    }
    created = httpx.post(f"{API}/sessions", json=new)
    assert created.status_code == 201, created.text
    session = created.json()
    joined = httpx.post(f"{API}/sessions/{session['id']}/players", json={"discord_id": 2, "display_name": "Bo"})
    assert joined.json()["players"] == ["Ada", "Bo"]

    posts = posts_of(channel, 4)
    starts = ["New session", "Friday game starts soon", "Friday game has started", "Friday game is over"]
    assert [post["content"].startswith(words) for post, words in zip(posts, starts, strict=True)] == [True] * 4
    assert [post["tries"] for post in posts] == [2, 2, 2, 2], "each was refused once and came back"
    completed = httpx.get(f"{API}/sessions", params={"status": "completed"}).json()
    assert session["id"] in [found["id"] for found in completed]
