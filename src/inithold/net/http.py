"""One HTTP request and its answer, bounded in time and size, whatever the server does."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event, Timer
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from inithold.errors import StepError
from inithold.net.bounds import Bounds

_CHUNK = 65536
_AS_IT_IS = "/%:@!$&'()*+,;=~-._?"
"""What a path or query may hold besides letters and digits (RFC 3986, 3.3 and 3.4), and `%` itself."""


class Request(NamedTuple):
    """What is asked.

    Attributes:
        method: `GET`.
        url: absolute, http or https; its user info is left out.
        headers: to send.
        tls: for https.
        most: bytes of the answer's body that are read at most.
        enough: told the status and the body so far; whether the rest is of no interest.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    most: int
    enough: Callable[[int, bytes], bool]


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: such as 200.
        reason: such as `OK`, as the server words it.
        headers: names in lower case.
        body: the beginning of it.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class TooSlow(OSError):
    """The whole exchange took longer than it may."""


def exchange(request: Request, context: Bounds, seconds: float) -> Answer:
    """Ask and read the answer.

    Args:
        request: what is asked.
        context: of the step; when it is told to stop, the connection is closed.
        seconds: that the whole of it may take.

    Raises:
        Interrupted: the step was told to stop.
        TooSlow: the time is up.
        OSError, http.client.HTTPException: as `http.client` raises them.
    """
    connection = _Connection(request, seconds)
    late = Event()

    def is_late() -> None:
        late.set()
        connection.interrupt()

    timer = Timer(seconds, is_late)
    timer.daemon = True
    timer.start()
    try:
        with context.on_cancel(connection.interrupt):
            return _ask(connection, request)
    except StepError:
        raise
    except Exception as error:
        context.check_cancelled()
        if late.is_set() or isinstance(error, TimeoutError):
            raise TooSlow from error
        raise
    finally:
        timer.cancel()
        connection.close()


def _ask(connection: _Connection, request: Request) -> Answer:
    parts = urlsplit(request.url)
    path = quote(parts.path or "/", safe=_AS_IT_IS)
    target = f"{path}?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else path
    connection.request(
        request.method, target, headers={name: value.encode() for name, value in request.headers.items()}
    )
    response = connection.getresponse()
    body = b""
    while len(body) < request.most and not request.enough(response.status, body):
        data = response.read1(min(_CHUNK, request.most - len(body)))
        if not data:
            break
        body += data
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, response.reason, headers, body)


class _Connection(http.client.HTTPConnection):
    """A connection whose socket is at hand from the beginning, so that it can be interrupted in the handshake."""

    def __init__(self, request: Request, seconds: float) -> None:
        parts = urlsplit(request.url)
        self._tls = request.tls if parts.scheme == "https" else None
        self._interrupted = False
        if self._tls is not None:
            # For the Host header: the port is left out where it is the scheme's own.
            self.default_port = 443
        super().__init__(parts.hostname or "", parts.port or self.default_port, timeout=seconds)

    def connect(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), self.timeout)
        with suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            wrapped = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = wrapped
            wrapped.do_handshake()
        if self._interrupted:
            raise TimeoutError

    def interrupt(self) -> None:
        """Make whatever another thread does with it fail."""
        self._interrupted = True
        if (connected := self.sock) is None:
            return
        with suppress(OSError):
            # SSLSocket's own would take the TLS state away under the thread that reads.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)
