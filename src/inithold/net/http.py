"""One HTTP request, with limits on time and size whatever the server does."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from inithold.errors import Interrupted, NotYet, StepFailed
from inithold.net.bounds import Bounds, TooSlow, within
from inithold.net.dial import describe
from inithold.text.duration import short
from inithold.text.url import parse, split
from inithold.version import __version__

OWN_HEADERS = {"User-Agent": f"inithold/{__version__}", "Accept": "*/*", "Connection": "close"}
_CHUNK = 65536
_NEVER = (501, 505)
"""Statuses of a server that cannot do what was asked, now or later (RFC 9110, 15.6)."""
_AS_IT_IS = "/%:@!$&'()*+,;=~-._?"
"""Characters to leave unquoted in a path or query: those of RFC 3986, 3.3 and 3.4, and `%`."""


class Request(NamedTuple):
    """An HTTP request.

    Attributes:
        url: absolute, http or https; its user info is not sent.
        tls: for https.
        most: the most bytes of the body to read.
        enough: called with the status and the body so far; true stops reading.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    most: int
    enough: Callable[[int, bytes], bool] | None = None
    body: bytes | None = None


class Answer(NamedTuple):
    """An HTTP response: header names in lower case, and the beginning of the body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


def may_pass(status: int) -> bool:
    """Whether a status is temporary: the server is starting, busy or in trouble, or a proxy does not reach it."""
    return status in (408, 425, 429) or (status >= 500 and status not in _NEVER)


def fetch(
    request: Request,
    bounds: Bounds,
    most: float,
    *,
    who: str = "",
    trust: str = "ca_file",
    silent: str = "accepts connections and does not answer",
    hint: str = "check the port",
) -> Answer:
    """Send a request and read the response.

    Args:
        most: seconds for the whole exchange.
        who: the service, for messages.
        trust: the plan's field for further certificate authorities, for a hint.
        silent: the message if no response comes.
        hint: the hint if the server does not speak HTTP.

    Raises:
        Interrupted: the step was told to stop.
        NotYet, StepFailed: there is no valid response.
    """
    from inithold.net.tls import handshake_error  # noqa: PLC0415 - only needed on errors

    seconds = bounds.remaining(most)
    try:
        return within(seconds, bounds, lambda: _ask(request, seconds))
    except Interrupted as stopped:
        # Say what it was waiting for.
        raise Interrupted(f"{who}: {silent}") from stopped
    except ssl.SSLError as error:
        raise handshake_error(who, error, trust=trust) from error
    except (TooSlow, TimeoutError) as error:
        late = f"no answer within {short(seconds)}" if seconds == most else silent
        raise NotYet(f"{who}: {late}") from error
    except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
        raise NotYet(f"{who}: the connection was closed before the answer was complete") from error
    except OSError as error:
        raise NotYet(f"{who}: {describe(error)}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise StepFailed(f"{who}: the server does not speak HTTP", hint=hint) from error


def _ask(request: Request, seconds: float) -> Answer:
    address, parts = parse(request.url), split(request.url)
    connection = (
        http.client.HTTPConnection(address.host, address.port, timeout=seconds)
        if request.tls is None
        else http.client.HTTPSConnection(address.host, address.port, timeout=seconds, context=request.tls)
    )
    path = quote(parts.path or "/", safe=_AS_IT_IS)
    target = f"{path}?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else path
    headers = {name: value.encode() for name, value in request.headers.items()}
    try:
        connection.request(request.method, target, request.body, headers)
        response = connection.getresponse()
        expected = response.length
        body = b""
        while len(body) < request.most and not (request.enough and request.enough(response.status, body)):
            data = response.read1(min(_CHUNK, request.most - len(body)))
            if not data:
                if expected is not None and len(body) < expected:
                    raise http.client.IncompleteRead(body, expected - len(body))
                break
            body += data
    finally:
        connection.close()
    headers_received = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, response.reason, headers_received, body)
