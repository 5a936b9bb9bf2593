"""A real workload on the initialized stack, with the end-to-end overrides: Discord refuses each post once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.engine import Engine, poll
from e2e.gates import check_gate
from e2e.images import Images
from e2e.sessions import make_session, request
from e2e.stack import Stack

KINDS = ("announced", "reminder", "in_progress", "completed")
RUBBISH = """
from services import broker
with broker.channel() as channel:
    broker.publish(channel, "game_events", "game.odd", b"rubbish", message_id="odd-one")
"""


@pytest.fixture(scope="module")
def e2e(engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """compose.yaml and compose.e2e.yaml; the first test brings it up."""
    stack = Stack(engine, images, tmp_path_factory.mktemp("e2e"), "compose.yaml", "compose.e2e.yaml")
    yield stack
    stack.down()


@pytest.mark.timeout(400)
def test_the_examples_own_tests_pass_behind_their_gate(e2e: Stack) -> None:
    check_gate(e2e)


def test_a_session_lives_through_all_services(e2e: Stack) -> None:
    """Announced, reminded, started, over; each post refused once, a dead letter, retried."""
    session = make_session(lambda code: e2e.python("api", code), starts_in=12, lasts=3)

    def states() -> str:
        return e2e.sql(f"select status from game_sessions where id = {session['id']}")

    assert states() == "scheduled"
    poll(lambda: states() == "in_progress" or states() == "completed", 60, "the session has started", every=0.3)
    poll(lambda: states() == "completed", 60, "the session is over", every=0.3)

    def posts() -> list[dict[str, object]]:
        found = request(lambda code: e2e.python("api", code), "/posts", at="http://discord:8080")
        return [post for post in found if post["channel"] == session["channel"]]

    poll(lambda: len(posts()) == len(KINDS), 60, "everything is posted", every=0.5)
    assert [post["tries"] for post in posts()] == [2] * len(KINDS)
    rows = e2e.sql(
        f"select kind, sent_at is not null from notification_schedule where session_id = {session['id']}"
    )
    assert sorted(rows.splitlines()) == sorted(f"{kind}|t" for kind in KINDS)
    sent = poll(lambda: e2e.queues().values(), 10, "the queues")
    assert sum(sent) == 0, "no message is left in any queue"


def test_what_cannot_be_posted_is_retried_and_then_parked(e2e: Stack) -> None:
    e2e.python("bot", RUBBISH)
    poll(lambda: e2e.queues()["parked_events"] == 1, 90, "the message is parked", every=0.5)
    log = e2e.logs("retry")
    turns = [f"message odd-one returns to bot_events in 1 s ({turn} of 3)" for turn in (1, 2, 3)]
    assert all(turn in log for turn in turns), log
    assert "parked message odd-one of bot_events after 3 retries" in log
    assert e2e.queues()["dead_letters"] == 0


def test_all_that_was_one_initialization(e2e: Stack) -> None:
    assert e2e.inspect("init")["RestartCount"] == 0
    assert e2e.exec("init", "test", "-e", "/tmp/init-complete.record.1.json", check=False).returncode == 1
