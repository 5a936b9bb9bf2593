"""One HTTP request and its answer, bounded in time and size, whatever the server does."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from inithold.net.bounds import Bounds, TooSlow, within
from inithold.text.url import parse, split
from inithold.version import __version__

OWN_HEADERS = {"User-Agent": f"inithold/{__version__}", "Accept": "*/*", "Connection": "close"}
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
        enough: given the status and the body so far, whether the rest is of no interest.
        body: to send.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    most: int
    enough: Callable[[int, bytes], bool] | None = None
    body: bytes | None = None


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


def exchange(request: Request, bounds: Bounds, seconds: float) -> Answer:
    """Ask and read the answer.

    Args:
        request: what is asked.
        bounds: of the step.
        seconds: that the whole of it may take.

    Raises:
        Interrupted: the step was told to stop.
        TooSlow: the time is up.
        OSError, http.client.HTTPException: as `http.client` raises them.
    """
    try:
        return within(seconds, bounds, lambda: _ask(request, seconds))
    except TimeoutError as error:
        raise TooSlow from error


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
    return Answer(
        response.status,
        response.reason,
        {name.lower(): value for name, value in response.headers.items()},
        body,
    )
