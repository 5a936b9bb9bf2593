"""The connection to RabbitMQ: confirmed, durable messages out, acknowledged messages in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, UnroutableError
from pika.spec import Basic, BasicProperties

from services import daemon
from services.daemon import MissingError

LOST = (AMQPConnectionError,)
Handler = Callable[[BlockingChannel, Basic.Deliver, BasicProperties, bytes], None]


@contextmanager
def channel(*, exchanges: tuple[str, ...] = (), queues: tuple[str, ...] = ()) -> Iterator[BlockingChannel]:
    """A channel with publisher confirms, on a broker that has these exchanges and queues.

    Raises: MissingError."""
    parameters = pika.URLParameters(os.environ["RABBITMQ_URL"])
    parameters.socket_timeout = parameters.blocked_connection_timeout = 5
    connection = pika.BlockingConnection(parameters)
    try:
        opened = connection.channel()
        opened.confirm_delivery()
        try:
            for name in exchanges:
                opened.exchange_declare(name, passive=True)
            for name in queues:
                opened.queue_declare(name, passive=True)
        except ChannelClosedByBroker as error:
            raise MissingError(f"the broker says {error.reply_text}") from error
        yield opened
    finally:
        if connection.is_open:
            connection.close()


def publish(
    to: BlockingChannel, exchange: str, routing_key: str, body: bytes | dict[str, Any], **properties: Any
) -> None:
    """Send one durable message, and return once the broker has it in a queue.

    Raises: MissingError if no queue is bound for it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    durable = BasicProperties(content_type="application/json", delivery_mode=2, **properties)
    try:
        to.basic_publish(exchange, routing_key, data, durable, mandatory=True)
    except UnroutableError as error:
        raise MissingError(f"no queue takes {routing_key!r} from exchange {exchange!r}") from error
    except ChannelClosedByBroker as error:
        raise MissingError(f"the broker says {error.reply_text}") from error


def consume(queue: str, handle: Handler, stop: Event) -> None:
    """Pass each message in the queue to `handle`, which acknowledges or rejects it, until `stop` is set.

    Raises: MissingError if the queue does not exist."""
    with channel(queues=(queue,)) as source:
        source.basic_qos(prefetch_count=10)
        source.basic_consume(queue, handle)
        while not stop.is_set():
            source.connection.process_data_events(time_limit=0.25)
            if not source.is_open or not source.consumer_tags:
                raise MissingError(f"queue {queue!r} was deleted")
            daemon.alive()
