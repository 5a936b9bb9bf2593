"""What it means when an AMQP connection does not come about: not yet, rejected, or never."""

from __future__ import annotations

import re
import ssl

from pika.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.dial import seen
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.rabbitmq.access import login, virtual_host
from inithold.steps.rabbitmq.tls import tls_failed

_SEE_LOG = "the broker's log may say more"
_CONNECTION_FORCED = 320
_ACCESS_REFUSED = 403
_NOT_FOUND = 404
_NOT_ALLOWED = 530
_INTERNAL_ERROR = 541
_PASSING = (_CONNECTION_FORCED, _INTERNAL_ERROR)
"""Reply codes of a broker that is starting, stopping or in trouble of its own."""
_PASSING_WORDS = re.compile(r"\bis down\b|\blimit\b")
"""A virtual host that is starting, and too many connections, come with the code of one that is not allowed."""
_NODE_DOWN = re.compile(r"\bdown or inaccessible\b|\bprocess is stopped\b")
"""A queue that exists, on a node of the cluster that is away, comes with the code of one that does not."""
_CLOSED = (IncompatibleProtocolError, ProbableAuthenticationError, ProbableAccessDeniedError, StreamLostError)
"""pika's guesses from the moment at which it was hung up on. The broker's own words, if it had any, say more."""


_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


def passes(code: int, words: str) -> bool:
    """Whether a broker that says no may say yes later.

    Args:
        code: the AMQP reply code.
        words: the reply text.
    """
    return code in _PASSING or (code == _NOT_FOUND and _NODE_DOWN.search(words) is not None)


class Handshake:
    """Says what a failed attempt means.

    Args:
        address: of the broker.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    def not_yet(self, what: str) -> NotYet:
        """A broker that does not answer as one yet."""
        tls = "with TLS, usually 5671" if self._address.technology == "amqps" else "without TLS, usually 5672"
        hint = f"a broker that is starting does so; if it lasts, check that the port speaks AMQP 0-9-1 {tls}"
        return NotYet(f"{self._address.place}: {what}", hint=hint)

    def failure(self, error: BaseException, farewell: tuple[int, str] | None) -> StepError:
        """The failure that an error of pika is.

        Args:
            error: as pika reports it.
            farewell: code and words of the broker, where it said any.
        """
        if farewell is not None:
            return self.sent_away(*farewell)
        cause = _innermost(error)
        if isinstance(cause, _CLOSED):
            return self.not_yet("the connection was closed during the handshake")
        if isinstance(cause, OSError):
            return self._broken(cause)
        if isinstance(cause, AuthenticationError):
            return StepFailed(
                f"{self._address.shown}: the broker offers no way to log in with a password",
                hint="let the broker offer the authentication mechanism PLAIN (auth_mechanisms)",
            )
        seen = f"the handshake failed: {one_line(str(cause), 200)}"
        return StepFailed(f"{self._address.shown}: {seen}", hint=_SEE_LOG)

    def sent_away(self, code: int, words: str) -> StepError:
        """The failure that a good-bye in the place of a welcome is.

        Args:
            code: the AMQP reply code.
            words: the reply text.
        """
        if passes(code, words):
            return NotYet(f"{self._address.place}: the broker closed the connection: {words}")
        if code == _ACCESS_REFUSED:
            message = f"{self._address.shown}: the broker rejects the login: {words}"
            return Rejected(message, hint=self._login_hint())
        if code != _NOT_ALLOWED:
            return StepFailed(f"{self._address.shown}: the broker closed the connection: {words}", hint=_SEE_LOG)
        if _PASSING_WORDS.search(words):
            return NotYet(f"{self._address.place}: the broker does not let us in now: {words}")
        message = f"{self._address.shown}: the broker rejects the virtual host: {words}"
        return Rejected(message, hint=self._virtual_host_hint(words))

    def _broken(self, error: OSError) -> StepError:
        if isinstance(error, _HUNG_UP):
            return self.not_yet("the connection was closed during the handshake")
        if isinstance(error, ssl.SSLError):
            return tls_failed(self._address.place, error)
        return NotYet(f"{self._address.place}: {seen(error)}")

    def _login_hint(self) -> str:
        if login(self._address).user == "guest":
            return "guest may log in from the broker's own machine only: give user and password of another"
        return "check user and password; the broker's log says which of them is wrong"

    def _virtual_host_hint(self, words: str) -> str:
        if "not found" in words:
            return "create it, or correct the path of the URL: %2F is the default virtual host, /"
        host, user = virtual_host(self._address), login(self._address).user
        return f"give the user permissions in it: rabbitmqctl set_permissions -p {host} {user} '.*' '.*' '.*'"


def _innermost(error: BaseException) -> BaseException:
    """What is inside the layers that pika puts around an error while it connects."""
    while True:
        layers = getattr(error, "exceptions", None) or [getattr(error, "exception", None)]
        if type(error) is AMQPConnectionError and error.args:
            layers = [error.args[0]]
        if not isinstance(layers[-1], BaseException):
            return error
        error = layers[-1]
