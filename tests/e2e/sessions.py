"""Game sessions, made as a user of the example makes them: by HTTP to its api, asked from inside its network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

API = "http://127.0.0.1:8000"
Python = Callable[[str], str]
"""Runs a piece of Python where the api answers, and returns what it prints."""


def request(python: Python, path: str, body: dict[str, Any] | None = None, at: str = API) -> Any:
    """The answer of a GET, or of a POST with a body."""
    return json.loads(
        python(
            "import json, sys, urllib.request as u\n"
            f"body = {json.dumps(json.dumps(body))} if {body is not None} else None\n"
            f"asked = u.Request({at + path!r}, body and body.encode(), {{'Content-Type': 'application/json'}})\n"
            "print(u.urlopen(asked, timeout=10).read().decode())"
        )
    )


def make_session(python: Python, *, starts_in: float, lasts: float) -> dict[str, Any]:
    """A session of a guild and channel of its own.

    Args:
        starts_in: seconds from now.
        lasts: seconds.
    """
    start = datetime.now(UTC) + timedelta(seconds=starts_in)
    own = time.time_ns() // 1000
    body = {
        "guild_id": own,
        "channel_id": own,
        "host": {"discord_id": own, "display_name": "Ada"},
        "title": f"Game {own}",
        "game": "Chess",
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(seconds=lasts)).isoformat(),
    }
    return {**request(python, "/sessions", body), "channel": str(own)}
