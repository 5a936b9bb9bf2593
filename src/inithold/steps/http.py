"""Services that say by HTTP that they are ready."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from inithold.errors import Interrupted, NotYet, StepError, StepFailed
from inithold.net.bounds import TooSlow
from inithold.net.dial import dial, seen
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import WEB, Address, parse
from inithold.steps.base import Change, Step, StepContext
from inithold.text.duration import Duration, default, short
from inithold.version import __version__

if TYPE_CHECKING:
    from inithold.net.http import Answer

CONNECT_PATIENCE = 5.0
REDIRECTS = 5
BODY = 1 << 20
_EXCERPT = 200
_EXCERPT_BODY = 16384
_REDIRECTS = (301, 302, 303, 307, 308)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_CODINGS = ("identity", "", "gzip", "x-gzip", "deflate")
"""What can be read of `Content-Encoding`."""
_HINTS = {
    401: "the service wants credentials: give them in headers, or as user and password in the URL",
    403: "the service refuses the credentials: check headers, or user and password in the URL",
    404: "the service is up: check the path of the URL",
    405: "the service is up: check method and path",
}

Status = Annotated[int, msgspec.Meta(ge=100, le=599)]


class Ready(Step, frozen=True, kw_only=True):
    """Wait until a URL answers as expected.

    Anything else is not ready yet: a refused or lost connection, and every other status, since a service may
    answer 404 or 502 until it is deployed. A certificate that is not accepted fails at once.

    Redirects are followed, 5 at most, unless `status` names theirs; headers and credentials go along only to the
    same host and port. User and password in the URL are sent as Basic authentication. Proxy variables are ignored.

    Args:
        url: what to ask for: `http://app:8000/health` or `https://...`. Its query is never shown.
        method: how to ask.
        headers: sent along. The values of `Authorization`, `Cookie` and of headers named like secrets are secrets.
        status: the status, or statuses, that count; 200 to 299 if absent.
        contains: a text that the first MiB of the body must hold.
        verify: whether the certificate of https must be trusted and name the host.
        ca_file: certificates of the authorities to trust instead of the system's, in PEM form.
        request_timeout: how long one request may take, the answer included.

    Example:
        ```yaml
        - id: app
          uses: http.ready
          with: {url: "http://app:8000/health", contains: '"database": "ok"'}
        ```
    """

    kind = "http.ready"
    looks_only = True
    waits = True
    default_timeout = 600.0
    rights = "those that the service asks for at this URL"

    url: str
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    status: Status | list[Status] | None = None
    contains: str | None = None
    verify: bool = True
    ca_file: str | None = None
    request_timeout: Duration = default(10.0)

    def __post_init__(self) -> None:
        SECRETS.add_url(self.url)
        SECRETS.add_headers(self.headers)

    def validate(self) -> Iterator[tuple[str, str]]:
        try:
            parse(self.url, WEB)
        except ValueError as error:
            yield "url", f"url {error}"
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name):
                yield "headers", f"{name!r} cannot be the name of a header"
            elif any(character in value for character in "\r\n\0"):
                yield "headers", f"the value of {name} holds a line break"
        if self.status == []:
            yield "status", "expected a status such as 200, or a list of them"
        if self.contains is not None and (not self.contains or self.method == "HEAD"):
            yield "contains", "expected a text" if not self.contains else "a HEAD request has no body to look into"
        if self.ca_file is not None and not self.verify:
            yield "ca_file", "nothing is verified with verify: false: take one of the two out"
        if not self.request_timeout > 0:
            yield "request_timeout", "expected more than nothing"

    def preload(self) -> None:
        import inithold.net.http  # noqa: F401, PLC0415 - heavy

    def subject(self) -> str:
        try:
            return parse(self.url, WEB).shown
        except ValueError:
            return ""

    def check(self, context: StepContext) -> Sequence[Change]:
        address = parse(self.url, WEB)
        dial(address.host, address.port, timeout=context.remaining(CONNECT_PATIENCE))
        place = _Place(self.method, self.url, address)
        for _ in range(REDIRECTS + 1):
            answer = self._ask(place, address, context)
            if answer.status not in _REDIRECTS or self._counts(answer.status):
                self._judge(place.address, answer)
                return ()
            place = _redirected(place, answer)
        raise NotYet(f"{address.shown}: redirects more than {REDIRECTS} times")

    def _ask(self, place: _Place, origin: Address, context: StepContext) -> Answer:
        import http.client  # noqa: PLC0415 - heavy, and the first connection is made without

        from inithold.net.http import Request, exchange  # noqa: PLC0415 - as above
        from inithold.net.tls import client_context  # noqa: PLC0415 - as above

        tls = (
            client_context(verify=self.verify, ca_file=self.ca_file)
            if place.address.technology == "https"
            else None
        )
        headers = self._headers(origin) if _same(place.address, origin) else _own_headers()
        request = Request(place.method, place.url, headers, tls, self._most, self._enough)
        seconds = context.remaining(self.request_timeout)
        try:
            return exchange(request, context, seconds)
        except Interrupted as stopped:
            # What it was doing when its time was up.
            raise Interrupted(_silent(place.address)) from stopped
        except (OSError, http.client.HTTPException, ValueError) as error:
            own = seconds if seconds == self.request_timeout else None
            raise _meaning(place.address, error, own) from error

    @property
    def _most(self) -> int:
        return BODY if self.contains is not None else _EXCERPT_BODY

    def _enough(self, status: int, body: bytes) -> bool:
        """Whether the rest of the body is of no interest: it may never end."""
        return self._counts(status) and (self.contains is None or self.contains.encode() in body)

    def _headers(self, address: Address) -> dict[str, str]:
        headers = _own_headers()
        if address.user is not None and not any(name.lower() == "authorization" for name in self.headers):
            pair = f"{address.user}:{address.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        given = {name.lower() for name in self.headers}
        return {name: value for name, value in headers.items() if name.lower() not in given} | self.headers

    def _counts(self, status: int) -> bool:
        if self.status is None:
            return 200 <= status <= 299
        return status in (self.status if isinstance(self.status, list) else [self.status])

    def _judge(self, address: Address, answer: Answer) -> None:
        answered = f"{address.shown}: answered {answer.status} {one_line(answer.reason, 60)}".rstrip()
        if not self._counts(answer.status):
            raise NotYet(f"{answered}{_excerpt(answer)}", hint=_HINTS.get(answer.status))
        if self.contains is not None and self.contains not in _decoded(answer):
            coding = answer.headers.get("content-encoding", "identity").lower()
            if coding not in _CODINGS:
                raise StepFailed(
                    f"{answered} with a body compressed as {one_line(coding, 60)}, which was not asked for",
                    hint="let the service honour Accept-Encoding: identity, or leave out contains",
                )
            raise NotYet(f"{answered} without {one_line(self.contains, 60)!r}{_excerpt(answer)}")


class _Place(NamedTuple):
    """A request on the way of redirects."""

    method: str
    url: str
    address: Address


def _redirected(place: _Place, answer: Answer) -> _Place:
    location = answer.headers.get("location", "")
    parts = urlsplit(place.url)
    base = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        url = urljoin(base, location).partition("#")[0]
        # As browsers do, and as RFC 9110, 15.4.4 wants it for 303.
        again = answer.status in (307, 308) or place.method == "HEAD"
        return _Place(place.method if again else "GET", url, parse(url, WEB))
    except ValueError as error:
        raise NotYet(f"{place.address.shown}: answered {answer.status}, a redirect to nowhere") from error


def _same(one: Address, other: Address) -> bool:
    return (one.technology, one.host.lower(), one.port) == (other.technology, other.host.lower(), other.port)


def _own_headers() -> dict[str, str]:
    return {"User-Agent": f"inithold/{__version__}", "Accept": "*/*", "Connection": "close"}


def _silent(address: Address) -> str:
    return f"{address.shown}: accepts connections and does not answer"


def _meaning(address: Address, error: Exception, seconds: float | None) -> StepError:
    """What a failed exchange means; `seconds` is how long it might take, None for as long as the step has left."""
    import ssl  # noqa: PLC0415 - loaded by now
    from http import client  # noqa: PLC0415 - as above

    from inithold.net.tls import handshake_error  # noqa: PLC0415 - as above

    if isinstance(error, ssl.SSLError):
        return handshake_error(address.place, error, trust="ca_file")
    if isinstance(error, TooSlow):
        return NotYet(
            _silent(address) if seconds is None else f"{address.shown}: no answer within {short(seconds)}"
        )
    if isinstance(error, client.RemoteDisconnected | client.IncompleteRead):
        return NotYet(f"{address.shown}: the connection was closed before the answer was complete")
    if isinstance(error, OSError):
        return NotYet(f"{address.shown}: {seen(error)}")
    hint = (
        "check the port" if address.technology == "https" else "check the port; one that speaks TLS needs https://"
    )
    return StepFailed(f"{address.place}: what answers does not speak HTTP", hint=hint)


def _decoded(answer: Answer) -> str:
    body = answer.body
    if answer.headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        import zlib  # noqa: PLC0415 - nobody asked for it, and hardly anybody sends it

        # Servers that compress whatever is asked; 47 takes the headers of gzip and of zlib.
        with suppress(zlib.error):
            body = zlib.decompressobj(47).decompress(body, BODY)
    charset = re.search(r"charset=[\"']?([\w.:-]+)", answer.headers.get("content-type", ""))
    try:
        return body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _excerpt(answer: Answer) -> str:
    """The beginning of a body that is text, for a message."""
    kind = answer.headers.get("content-type", "text/plain").lower()
    if answer.headers.get("content-encoding", "identity").lower() not in _CODINGS:
        return ""
    if not answer.body or not re.match(r"text/|application/[\w.+-]*(json|xml)", kind):
        return ""
    text = _decoded(answer)
    if "html" in kind:
        text = _MARKUP.sub(" ", text)
    text = one_line(" ".join(text.split()), _EXCERPT).partition("... (")[0]
    return f": {text}" if text else ""
