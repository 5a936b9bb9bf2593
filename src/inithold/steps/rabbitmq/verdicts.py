"""Decides whether an answer of RabbitMQ means not yet, rejected or never; the only such table for AMQP.

The reply codes are those of AMQP 0-9-1, 1.2: https://www.rabbitmq.com/amqp-0-9-1-reference#constants
"""

from __future__ import annotations

import ast
import re
import ssl

from pika.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    ConnectionClosed,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.dial import describe
from inithold.net.tls import handshake_error
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.rabbitmq.access import TRUST, login, virtual_host

CONNECTION_FORCED = 320
ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
COMMAND_INVALID = 503
NOT_ALLOWED = 530
INTERNAL_ERROR = 541

_SEE_LOG = "the broker's log may say more"
_NOT_NOW = re.compile(r"' is down\b|\blimit (?:of )?\(\d+\)")
"""A starting virtual host and too many connections have the same code as a forbidden virtual host, whose name may
be `rate-limit`."""
_NODE_DOWN = re.compile(r"\bdown or inaccessible\b|\bprocess is stopped\b")
"""A queue on a cluster node that is down has the same code as a queue that does not exist."""
_GUESSES = (IncompatibleProtocolError, ProbableAuthenticationError, ProbableAccessDeniedError, StreamLostError)
"""The reasons that pika guesses from the time at which the connection was closed."""
_GOODBYE = re.compile(r"ConnectionClosedByBroker: \((?P<code>\d+)\) (?P<words>'.*'|\".*\")", re.S)
"""The broker's own message: pika's guess contains the repr of the original exception."""
_HUNG_UP = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def passes(code: int, words: str) -> bool:
    """Whether a refusal with this reply code and text may be temporary."""
    if code == NOT_ALLOWED:
        return _NOT_NOW.search(words) is not None
    node_is_down = code == NOT_FOUND and _NODE_DOWN.search(words) is not None
    return code in (CONNECTION_FORCED, INTERNAL_ERROR) or node_is_down


def not_connected(address: Address, error: BaseException) -> StepError:
    """Return the step's error for a failed connection; `error` is pika's or the operating system's."""
    cause = error
    # While connecting, pika wraps errors in several layers.
    while layers := getattr(cause, "exceptions", None) or [getattr(cause, "exception", None)]:
        inner = cause.args[0] if type(cause) is AMQPConnectionError and cause.args else layers[-1]
        if not isinstance(inner, BaseException):
            break
        cause = inner
    if "Timeout" in type(cause).__name__:
        return _not_answering(address, "accepts connections and does not answer")
    if isinstance(cause, (ConnectionClosed, *_GUESSES)):
        goodbye = _GOODBYE.search(repr(cause) if isinstance(cause, ConnectionClosed) else str(cause))
        if goodbye is not None:
            return closed_by_broker(address, int(goodbye["code"]), one_line(ast.literal_eval(goodbye["words"])))
    elif isinstance(cause, ssl.SSLError):
        failure = handshake_error(address.place, cause, trust=TRUST)
        if not isinstance(failure, NotYet):
            return failure
    elif isinstance(cause, OSError) and not isinstance(cause, _HUNG_UP):
        return NotYet(f"{address.place}: {describe(cause)}")
    elif isinstance(cause, AuthenticationError):
        return StepFailed(
            f"{address.shown}: the broker offers no way to log in with a password",
            hint="let the broker offer the authentication mechanism PLAIN (auth_mechanisms)",
        )
    elif not isinstance(cause, OSError):
        return StepFailed(f"{address.shown}: the handshake failed: {one_line(str(cause), 200)}", hint=_SEE_LOG)
    return _not_answering(address, "the connection was closed during the handshake")


def _not_answering(address: Address, message: str) -> NotYet:
    tls = "with TLS, usually 5671" if address.technology == "amqps" else "without TLS, usually 5672"
    hint = f"a broker that is starting does so; if it lasts, check that the port speaks AMQP 0-9-1 {tls}"
    return NotYet(f"{address.place}: {message}", hint=hint)


def closed_by_broker(address: Address, code: int, words: str) -> StepError:
    """Return the step's error if the broker closes the connection at login with this reply code and text."""
    if passes(code, words):
        return NotYet(f"{address.place}: the broker closed the connection: {words}")
    host, user = virtual_host(address), login(address)[0]
    if code == ACCESS_REFUSED:
        hint = "check user and password; the broker's log says which of them is wrong"
        if user == "guest":
            hint = "guest may log in from the broker's own machine only: give user and password of another"
        return Rejected(f"{address.shown}: the broker rejects the login: {words}", hint=hint)
    if code == NOT_ALLOWED:
        hint = f"give the user permissions in it: rabbitmqctl set_permissions -p {host} {user} '.*' '.*' '.*'"
        if "not found" in words:
            hint = "create it, or correct the path of the URL: %2F is the default virtual host, /"
        return Rejected(f"{address.shown}: the broker rejects the virtual host: {words}", hint=hint)
    return StepFailed(f"{address.shown}: the broker closed the connection: {words}", hint=_SEE_LOG)
