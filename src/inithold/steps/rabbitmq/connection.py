"""One AMQP connection through pika that can be interrupted at any moment.

pika's blocking connection cannot be told to stop while it connects or waits for an answer, so the select
connection is driven here on a loop of our own: each request runs it until the answer, the end of its time, or
the step being told to stop, whichever comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import Any, Self

import pika
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.exceptions import AMQPError, ChannelClosed, ConnectionClosed

from inithold.errors import Interrupted, NotYet
from inithold.net.dial import dial
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq.access import login, virtual_host
from inithold.steps.rabbitmq.handshake import Handshake, passes
from inithold.steps.rabbitmq.tls import tls_context

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
"""Declaring a replicated queue takes its cluster seconds at times."""
GOODBYE_SECONDS = 0.25
_TIME_UP = object()

Answer = Callable[[object], None]
"""Where pika brings the answer of a request."""


class Refused(Exception):
    """The broker says no to a request.

    Args:
        code: the AMQP reply code.
        words: the reply text, such as `NOT_FOUND - no queue 'orders' in vhost '/'`.
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code} {words}")
        self.code = code
        self.words = words


class Connection:
    """A connection to one virtual host; use as a context manager.

    Args:
        address: of the broker, with user and password.
        context: bounds every wait and ends it when the step is told to stop.
        virtual_host: instead of the address's own.
    """

    def __init__(self, address: Address, context: StepContext, virtual_host: str | None = None) -> None:
        self._address = address if virtual_host is None else address._replace(database=virtual_host)
        self._context = context
        self._connection: Any = None
        self._channel: Any = None
        self._answer: Any = None
        self._farewell: tuple[int, str] | None = None
        self._quiet = _quiet()

    def __enter__(self) -> Self:
        self._quiet.__enter__()
        self._loop = IOLoop()
        try:
            self._connect()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._close()

    def channel(self) -> Any:
        """An open channel: the last one, or another if the broker closed that, or the connection, with its no."""
        if self._connection is None or not self._connection.is_open:
            self._connect()
        if self._channel is None or not self._channel.is_open:
            try:
                self._channel = self._request(
                    lambda answer: self._connection.channel(on_open_callback=answer), "open a channel"
                )
            except Refused as refused:
                raise Handshake(self._address).sent_away(refused.code, refused.words) from refused
            self._channel.add_on_close_callback(lambda _, reason: self._answered(reason))
        return self._channel

    def ask(self, send: Callable[[Any, Answer], object], what: str) -> None:
        """Send a request on a channel and wait for its answer.

        Args:
            send: given the channel and the callback for the answer.
            what: it is about, for people.

        Raises:
            Refused: the broker says no.
            NotYet: the connection was lost, or nothing came back in time.
        """
        channel = self.channel()
        self._request(lambda answer: send(channel, answer), what)

    # -- connecting

    def _connect(self) -> None:
        self._channel = self._farewell = None
        seconds = self._context.remaining(CONNECT_SECONDS)
        # pika would look the name up in a thread that outlives an interrupted loop.
        host = dial(self._address.host, self._address.port, timeout=seconds)
        parameters = self._parameters(host, seconds)
        silent = "accepts connections and does not answer"
        answer = self._wait(lambda: self._begin(parameters), seconds, silent)
        handshake = Handshake(self._address)
        if answer is _TIME_UP:
            raise handshake.not_yet(silent)
        if isinstance(answer, BaseException):
            raise handshake.failure(answer, self._farewell)

    def _begin(self, parameters: pika.ConnectionParameters) -> None:
        self._connection = SelectConnection(
            parameters,
            on_open_callback=lambda connection: self._answered_by(connection, connection),
            on_open_error_callback=self._answered_by,
            on_close_callback=self._answered_by,
            custom_ioloop=self._loop,
        )
        # pika keeps only a repr of the broker's words when it closes the connection during the handshake.
        self._connection.callbacks.add(0, pika.spec.Connection.Close, self._note_farewell, one_shot=False)

    def _parameters(self, host: str, seconds: float) -> pika.ConnectionParameters:
        address, who = self._address, login(self._address)
        options = None
        if address.technology == "amqps":
            name = dict(address.query).get("server_name_indication") or address.host
            options = pika.SSLOptions(tls_context(address), name)
        return pika.ConnectionParameters(
            host=host,
            port=address.port,
            virtual_host=virtual_host(address),
            credentials=pika.PlainCredentials(who.user, who.password),
            ssl_options=options,
            connection_attempts=1,
            socket_timeout=seconds,
            stack_timeout=seconds,
            # Every wait has an end of its own.
            heartbeat=0,
            client_properties={"connection_name": f"inithold {self._context.step_id}"},
        )

    def _note_farewell(self, frame: Any) -> None:
        self._farewell = (frame.method.reply_code, one_line(frame.method.reply_text))

    def _close(self) -> None:
        connection = self._connection
        if connection is not None and not (connection.is_closed or connection.is_closing):
            # pika trips over an assertion of its own when it is closed in the middle of a handshake; this
            # connection is given up in any case.
            with suppress(AMQPError, OSError, AssertionError):
                connection.close()
                self._turn(GOODBYE_SECONDS, lambda: bool(connection.is_closed))
        self._connection = self._channel = None
        self._loop.close()
        self._quiet.__exit__(None, None, None)

    # -- requests and answers

    def _request(self, send: Callable[[Answer], object], what: str) -> Any:
        doing = f"does not answer: {what}"
        answer = self._wait(lambda: send(self._answered), self._context.remaining(ANSWER_SECONDS), doing)
        if answer is _TIME_UP:
            raise self._not_yet(doing)
        if isinstance(answer, ChannelClosed | ConnectionClosed):
            code, words = answer.reply_code, one_line(answer.reply_text)
            raise self._not_yet(f"the broker says: {words}") if passes(code, words) else Refused(code, words)
        if isinstance(answer, BaseException):
            raise self._not_yet("the connection was lost")
        return answer

    def _not_yet(self, what: str) -> NotYet:
        return NotYet(f"{self._address.place}: {what}")

    def _answered(self, answer: object) -> None:
        if self._answer is None:
            self._answer = answer
        self._loop.stop()

    def _answered_by(self, connection: object, answer: object) -> None:
        # A connection that the broker closed with its last no may report so again while the next one opens.
        if connection is self._connection:
            self._answered(answer)

    # -- the loop

    def _wait(self, begin: Callable[[], object], seconds: float, doing: str) -> Any:
        self._context.check_cancelled()
        self._answer = None
        begin()
        with self._context.on_cancel(self._wake):
            try:
                self._turn(seconds, lambda: self._answer is not None, self._context.check_cancelled)
            except Interrupted as stopped:
                raise Interrupted(self._not_yet(doing).message) from stopped
        return _TIME_UP if self._answer is None else self._answer

    def _wake(self) -> None:
        self._loop.add_callback_threadsafe(self._loop.stop)

    def _turn(self, seconds: float, done: Callable[[], bool], look: Callable[[], None] = lambda: None) -> None:
        """Run the loop until it is done or the time is up, and `look` whenever it was woken."""
        over: list[bool] = []

        def end() -> None:
            over.append(True)
            self._loop.stop()

        timer = self._loop.call_later(seconds, end)
        try:
            while not done() and not over:
                self._loop.start()
                look()
        finally:
            self._loop.remove_timeout(timer)


_quieting = Lock()
_quiet_users = 0
_level_before = logging.NOTSET


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pika from logging what it also raises, with the connection's parameters, while we use it."""
    global _quiet_users, _level_before  # noqa: PLW0603 - a logger is global, and steps run side by side
    logger = logging.getLogger("pika")
    with _quieting:
        if _quiet_users == 0:
            _level_before = logger.level
            logger.setLevel(logging.CRITICAL + 1)
        _quiet_users += 1
    try:
        yield
    finally:
        with _quieting:
            _quiet_users -= 1
            if _quiet_users == 0:
                logger.setLevel(_level_before)
