"""An AMQP connection through pika, to look for, declare and bind exchanges and queues."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from threading import Lock
from typing import Any

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from inithold.errors import Interrupted, NotYet
from inithold.net.bounds import TooSlow, within
from inithold.net.dial import dial
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq import verdicts
from inithold.steps.rabbitmq.access import login, tls_context, virtual_host
from inithold.steps.rabbitmq.objects import Binding, Exchange, Item

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
"""Declaring a replicated queue can take a cluster several seconds."""
GOODBYE_SECONDS = 0.25
HEARTBEAT = 10
"""Seconds of silence after which pika closes a connection, roughly; it also ends an abandoned connection."""


class Refused(Exception):
    """The broker refused a request, with a code and a text: `NOT_FOUND - no queue 'orders' in vhost '/'`."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code} {words}")
        self.code = code
        self.words = words


@contextmanager
def brokers(address: Address, context: StepContext) -> Iterator[Callable[[str], Broker]]:
    """Yield a function that connects to a virtual host; all are closed at the end of the context."""
    with ExitStack() as stack:
        yield cache(lambda host: stack.enter_context(connected(address._replace(database=host), context)))


@contextmanager
def connected(address: Address, context: StepContext) -> Iterator[Broker]:
    """Connect to the address's virtual host; closed at the end of the context."""
    broker = Broker(address, context)
    with _without_log():
        try:
            broker.connect()
            yield broker
        finally:
            broker.close()


class Broker:
    """A connection to one virtual host; see `connected`."""

    def __init__(self, address: Address, context: StepContext) -> None:
        self._address = address
        self._context = context
        self._connection: Any = None
        self._channel: Any = None

    def connect(self) -> None:
        """Log in; raises `NotYet` or `StepFailed`."""
        address, (user, password) = self._address, login(self._address)
        seconds = self._context.remaining(CONNECT_SECONDS)
        # Resolved here, because pika's own lookup has no time limit.
        host = dial(address.host, address.port, timeout=seconds)
        tls = None
        if address.technology == "amqps":
            name = dict(address.query).get("server_name_indication") or address.host
            tls = pika.SSLOptions(tls_context(address), name)
        parameters = pika.ConnectionParameters(
            host=host,
            port=address.port,
            virtual_host=virtual_host(address),
            credentials=pika.PlainCredentials(user, password),
            ssl_options=tls,
            connection_attempts=1,
            socket_timeout=seconds,
            stack_timeout=seconds,
            heartbeat=HEARTBEAT,
            client_properties={"connection_name": f"inithold {self._context.step_id}"},
        )
        try:
            self._connection = pika.BlockingConnection(parameters)
        except (AMQPError, AMQPConnectorException, OSError) as error:
            raise verdicts.not_connected(address, error) from error

    def close(self) -> None:
        """Close the connection, without waiting long for the broker's answer."""
        if self._connection is not None and self._connection.is_open:
            with suppress(AMQPError, OSError, Interrupted):
                within(GOODBYE_SECONDS, self._context, self._connection.close)

    def channel(self) -> None:
        """Open a channel if none is open; raises `StepFailed` if the broker refuses."""
        try:
            self._request("open a channel", lambda _: None)
        except Refused as refused:
            raise verdicts.closed_by_broker(self._address, refused.code, refused.words) from refused

    def declare(self, item: Item, *, passive: bool = False) -> None:
        """Create an exchange, a queue or a binding; does nothing if an equal one exists.

        Args:
            item: to create.
            passive: only look whether an exchange or queue of this name exists.

        Raises:
            Refused: one with other properties exists, none exists (`passive`), it is invalid, or the user lacks
                permission.
        """
        arguments = item.sent()
        if isinstance(item, Binding):
            fields: dict[str, Any] = {"routing_key": item.routing_key, "arguments": arguments}
        else:
            flags = {"durable": item.durable, "auto_delete": item.auto_delete}
            fields = {"passive": passive, **flags, "arguments": arguments}

        def send(channel: Any) -> None:
            if isinstance(item, Exchange):
                channel.exchange_declare(item.name, item.type, internal=item.internal, **fields)
            elif not isinstance(item, Binding):
                channel.queue_declare(item.name, **fields)
            elif item.queue is None:
                channel.exchange_bind(item.destination, item.exchange, **fields)
            else:
                channel.queue_bind(item.queue, item.exchange, **fields)

        self._request(item.label, send)

    def _request(self, what: str, send: Callable[[Any], object]) -> None:
        """Send a request on a channel and wait for its answer.

        The broker refuses by closing the channel or the connection; the next request then opens a new one.

        Raises:
            Refused: the broker refused.
            NotYet: the connection was lost, or there was no answer in time.
            Interrupted: the step was told to stop.
        """
        if self._connection is None or not self._connection.is_open:
            self.connect()

        def work() -> None:
            if self._channel is None or not self._channel.is_open:
                self._channel = self._connection.channel()
            send(self._channel)

        place = self._address.place
        try:
            within(self._context.remaining(ANSWER_SECONDS), self._context, work)
        except (Interrupted, TooSlow) as error:
            # The abandoned thread still uses the connection, until the heartbeat ends it.
            self._connection = self._channel = None
            kind = Interrupted if isinstance(error, Interrupted) else NotYet
            raise kind(f"{place}: does not answer: {what}") from error
        except (ChannelClosedByBroker, ConnectionClosedByBroker) as closed:
            code, words = closed.reply_code, one_line(closed.reply_text)
            if verdicts.passes(code, words):
                raise NotYet(f"{place}: the broker says: {words}") from closed
            raise Refused(code, words) from closed
        except (AMQPError, OSError) as error:
            raise NotYet(f"{place}: the connection was lost") from error


_lock = Lock()
_users = 0
_level_before = logging.NOTSET


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep pika from logging what it also raises: those messages contain the connection's parameters."""
    global _users, _level_before  # noqa: PLW0603 - a logger is global, and steps run side by side
    logger = logging.getLogger("pika")
    with _lock:
        if _users == 0:
            _level_before = logger.level
            logger.setLevel(logging.CRITICAL + 1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                logger.setLevel(_level_before)
