"""Brings dead letters back to the queue they came from, after a delay and a limited number of times.

The broker does the delay: a message waits in `retry_delay` until it expires, and then returns, by its routing key,
to the queue that rejected it. A message that has used up its retries is parked for a person to look at."""

from __future__ import annotations

import os
import sys
from threading import Event

from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties

from services import broker, daemon

DELAY_SECONDS = float(os.environ.get("RETRY_DELAY_SECONDS", "30"))
LIMIT = int(os.environ.get("RETRY_LIMIT", "5"))


def handle(channel: BlockingChannel, delivery: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
    headers = dict(properties.headers or {})
    deaths = headers.pop("x-death", None) or []
    queue = deaths[0]["queue"] if deaths else None
    # Our own counter: brokers differ in how they treat an x-death that a client sends.
    retries = int(headers.get("x-retries", 0))
    kept = {"message_id": properties.message_id}
    if queue is None or retries >= LIMIT:
        headers["x-parked-from"] = queue or "unknown"
        broker.publish(channel, "", "parked_events", body, headers=headers, **kept)
        daemon.log.error("parked message %s of %s after %d retries", properties.message_id, queue, retries)
    else:
        headers["x-retries"] = retries + 1
        expires = str(int(DELAY_SECONDS * 1000))
        broker.publish(channel, "game_events.retry", queue, body, headers=headers, expiration=expires, **kept)
        daemon.log.info(
            "message %s returns to %s in %g s (%d of %d)",
            properties.message_id,
            queue,
            DELAY_SECONDS,
            retries + 1,
            LIMIT,
        )
    channel.basic_ack(delivery.delivery_tag)


def work(stop: Event) -> None:
    with broker.channel(exchanges=("game_events.retry",), queues=("retry_delay", "parked_events")):
        daemon.log.info("retry brings dead letters back after %g s, %d times", DELAY_SECONDS, LIMIT)
    broker.consume("dead_letters", handle, stop)


if __name__ == "__main__":
    sys.exit(daemon.run("retry", work, lost=broker.LOST))
