"""Posts the messages in its queue: to Discord if a token is set, otherwise to its log.

A message that cannot be posted is rejected and becomes a dead letter, which the retry service brings back."""

from __future__ import annotations

import json
import os
import sys
from threading import Event
from typing import Any

import httpx
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties

from services import broker, daemon

TEXTS = {
    "announced": "New session: {title} ({game}), {starts_at}.",
    "reminder": "{title} starts soon: {starts_at}. {mentions}",
    "in_progress": "{title} has started. {mentions}",
    "completed": "{title} is over. Well played.",
}


def post(message: dict[str, Any], client: httpx.Client | None) -> None:
    """Raises: httpx.HTTPError where Discord does not take it, KeyError where the message is not one of ours."""
    session = message["session"]
    mentions = " ".join(f"<@{player}>" for player in session["players"])
    text = TEXTS[message["event"]].format(**session, mentions=mentions)
    if client is None:
        daemon.log.info("posted to channel %s: %s", message["channel"], text)
        return
    # A message may come twice; Discord drops the second one with the same nonce.
    body = {"content": text[:2000], "nonce": str(message["notification"]), "enforce_nonce": True}
    body["allowed_mentions"] = {"parse": ["users"]}
    client.post(f"/channels/{int(message['channel'])}/messages", json=body).raise_for_status()
    daemon.log.info("posted %s of session %s to Discord", message["event"], session["id"])


def discord() -> httpx.Client | None:
    token = os.environ.get("DISCORD_TOKEN")
    if not token:
        return None
    address = os.environ.get("DISCORD_API_URL") or "https://discord.com/api/v10"
    return httpx.Client(base_url=address, headers={"Authorization": f"Bot {token}"}, timeout=5)


def work(stop: Event) -> None:
    client = discord()

    def handle(
        channel: BlockingChannel, delivery: Basic.Deliver, _properties: BasicProperties, body: bytes
    ) -> None:
        try:
            post(json.loads(body), client)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            daemon.log.warning("cannot post %s: %s: %s", delivery.routing_key, type(error).__name__, reason)
            channel.basic_reject(delivery.delivery_tag, requeue=False)
        else:
            channel.basic_ack(delivery.delivery_tag)

    daemon.log.info("bot posts to %s", "Discord" if client else "this log: DISCORD_TOKEN is not set")
    broker.consume("bot_events", handle, stop)


if __name__ == "__main__":
    sys.exit(daemon.run("bot", work, lost=broker.LOST))
