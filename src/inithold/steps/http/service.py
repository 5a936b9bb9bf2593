"""What the HTTP kinds share: who asks, how, and what it means where there is no answer."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from inithold.errors import Interrupted, NotYet, StepError, StepFailed
from inithold.net.bounds import TooSlow
from inithold.net.dial import describe, dial
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import WEB, Address, parse
from inithold.steps.base import Step, StepContext
from inithold.text.duration import Duration, DurationField, default, settle, short

if TYPE_CHECKING:
    from inithold.net.http import Answer

BODY = 1 << 20
_CONNECT_SECONDS = 5.0
_EXCERPT = 200
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
CODINGS = ("identity", "", "gzip", "x-gzip", "deflate")
"""What can be read of `Content-Encoding`."""


class Service(Step, frozen=True, kw_only=True):
    """Fields of a kind that asks a service by HTTP.

    Args:
        url: what to ask for: `http://app:8000/health` or `https://...`. Its query is never shown.
        headers: sent along. The values of `Authorization`, `Cookie` and of headers named like secrets are secrets.
        verify: whether the certificate of https must be trusted and name the host.
        ca_file: certificates of the authorities to trust instead of the system's, in PEM form.
        request_timeout: how long one request may take, the answer included.
    """

    url: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    verify: bool = True
    ca_file: str | None = None
    request_timeout: DurationField = default(10.0)

    def __post_init__(self) -> None:
        settle(self, request_timeout=Duration)
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

    def dialled(self, context: StepContext) -> Address:
        """The address of the service, once something accepts connections there: the cheapest question.

        Raises:
            NotYet, StepFailed: as `net.dial` does.
        """
        address = parse(self.url, WEB)
        dial(address.host, address.port, timeout=context.remaining(_CONNECT_SECONDS))
        return address

    def ask(
        self,
        method: str,
        url: str,
        context: StepContext,
        *,
        most: int = BODY,
        enough: Callable[[int, bytes], bool] | None = None,
        json: bytes | None = None,
    ) -> Answer:
        """Make one request; credentials and headers go along only to the step's own host and port.

        Args:
            method: how.
            url: of what; absolute.
            context: of the step.
            most: bytes of the body that are read at most.
            enough: given the status and the body so far, whether the rest is of no interest.
            json: body to send.

        Raises:
            NotYet, StepFailed, Interrupted: there is no answer.
        """
        import http.client  # noqa: PLC0415 - heavy, and the first connection is made without

        from inithold.net.http import OWN_HEADERS, Request, exchange  # noqa: PLC0415 - as above
        from inithold.net.tls import client_context  # noqa: PLC0415 - as above

        address, origin = parse(url, WEB), parse(self.url, WEB)
        secure = address.technology == "https"
        tls = client_context(verify=self.verify, ca_file=self.ca_file) if secure else None
        headers = self._headers(origin) if _same(address, origin) else dict(OWN_HEADERS)
        if json is not None:
            headers = {"Content-Type": "application/json"} | headers
        request = Request(method, url, headers, tls, most, enough, json)
        seconds = context.remaining(self.request_timeout)
        try:
            return exchange(request, context, seconds)
        except Interrupted as stopped:
            # What it was doing when its time was up.
            raise Interrupted(_silent(address)) from stopped
        except (OSError, http.client.HTTPException, ValueError) as error:
            own = seconds if seconds == self.request_timeout else None
            raise _meaning(address, error, own) from error

    def _headers(self, address: Address) -> dict[str, str]:
        from inithold.net.http import OWN_HEADERS  # noqa: PLC0415 - loaded by now

        headers = dict(OWN_HEADERS)
        if address.user is not None and not any(name.lower() == "authorization" for name in self.headers):
            pair = f"{address.user}:{address.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        given = {name.lower() for name in self.headers}
        return {name: value for name, value in headers.items() if name.lower() not in given} | self.headers


def answered(address: Address, answer: Answer) -> str:
    """What a service answered, for a message: `http://app:8000/health: answered 503 Service Unavailable`."""
    return f"{address.shown}: answered {answer.status} {one_line(answer.reason, 60)}".rstrip()


def _same(one: Address, other: Address) -> bool:
    return (one.technology, one.host.lower(), one.port) == (other.technology, other.host.lower(), other.port)


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
        return NotYet(f"{address.shown}: {describe(error)}")
    hint = (
        "check the port" if address.technology == "https" else "check the port; one that speaks TLS needs https://"
    )
    return StepFailed(f"{address.place}: what answers does not speak HTTP", hint=hint)


def decoded(answer: Answer) -> str:
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


def excerpt(answer: Answer) -> str:
    """The beginning of a body that is text, for a message."""
    kind = answer.headers.get("content-type", "text/plain").lower()
    if answer.headers.get("content-encoding", "identity").lower() not in CODINGS:
        return ""
    if not answer.body or not re.match(r"text/|application/[\w.+-]*(json|xml)", kind):
        return ""
    text = decoded(answer)
    if "html" in kind:
        text = _MARKUP.sub(" ", text)
    text = one_line(" ".join(text.split()), _EXCERPT).partition("... (")[0]
    return f": {text}" if text else ""
