"""The base of the HTTP kinds: requests, expected statuses, and excerpts of responses."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec

from inithold.net.dial import dial
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import WEB, Address, parse
from inithold.steps.base import Step, StepContext
from inithold.text.duration import Duration, DurationField, default, settle

if TYPE_CHECKING:
    from inithold.net.http import Answer

Status = Annotated[int, msgspec.Meta(ge=100, le=599)]

BODY = 1 << 20
_CONNECT_SECONDS = 5.0
_EXCERPT = 200
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
CODINGS = ("identity", "", "gzip", "x-gzip", "deflate")
"""The supported values of `Content-Encoding`."""


class Service(Step, frozen=True, kw_only=True):
    """Fields of a kind that asks a service by HTTP.

    Args:
        url: URL to request, such as `http://app:8000/health` or `https://...`. Its query is never shown.
        headers: request headers. Values of `Authorization`, `Cookie` and of headers named like secrets are
            secrets.
        verify: for https, verify that the certificate is trusted and matches the host name.
        ca_file: PEM file of CA certificates to trust instead of the system's.
        request_timeout: time limit for one request, including the response.
    """

    libraries = ("inithold.net.http",)

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

    def subject(self) -> str:
        try:
            return parse(self.url, WEB).shown
        except ValueError:
            return ""

    def dialled(self, context: StepContext) -> Address:
        """Dial the service, the cheapest test, and return its address.

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
        """Make one request; credentials and headers are sent only to the step's own host and port.

        Args:
            method: of the request.
            url: absolute.
            context: of the step.
            most: maximum bytes of the body to read.
            enough: called with the status and the body so far; true to stop reading.
            json: body to send.

        Raises:
            NotYet, StepFailed, Interrupted: there is no response.
        """
        # Heavy, and dialing does not need it.
        from inithold.net.http import OWN_HEADERS, Request, fetch  # noqa: PLC0415
        from inithold.net.tls import client_context  # noqa: PLC0415

        address, own = parse(url, WEB), parse(self.url, WEB)
        origins = {(each.technology, each.host.lower(), each.port) for each in (address, own)}
        headers = {"Content-Type": "application/json"} if json is not None else {}
        headers |= OWN_HEADERS
        if len(origins) == 1:
            if own.user is not None:
                pair = base64.b64encode(f"{own.user}:{own.password or ''}".encode()).decode()
                headers["Authorization"] = f"Basic {pair}"
            given = {name.lower() for name in self.headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in given} | self.headers
        secure = address.technology == "https"
        tls = client_context(verify=self.verify, ca_file=self.ca_file) if secure else None
        hint = "check the port" if secure else "check the port; one that speaks TLS needs https://"
        request = Request(method, url, headers, tls, most, enough, json)
        return fetch(request, context, self.request_timeout, who=address.shown, hint=hint)


def counts(status: int, expected: int | list[int] | None) -> bool:
    """Whether a status is the expected one or among those expected; 200 to 299 if None."""
    if expected is None:
        return 200 <= status <= 299
    return status in (expected if isinstance(expected, list) else [expected])


def answered(address: Address, answer: Answer) -> str:
    """Describe a response: `http://app:8000/health: answered 503 Service Unavailable`."""
    return f"{address.shown}: answered {answer.status} {one_line(answer.reason, 60)}".rstrip()


def decoded(answer: Answer) -> str:
    """Return the body as text, decompressed if the server compressed it without being asked."""
    body = answer.body
    if answer.headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        import zlib  # noqa: PLC0415 - hardly anybody sends it

        # 47: accept gzip and zlib headers.
        with suppress(zlib.error):
            body = zlib.decompressobj(47).decompress(body, BODY)
    charset = re.search(r"charset=[\"']?([\w.:-]+)", answer.headers.get("content-type", ""))
    try:
        return body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def excerpt(answer: Answer) -> str:
    """Return the beginning of a text body for a message."""
    kind = answer.headers.get("content-type", "text/plain").lower()
    readable = answer.headers.get("content-encoding", "identity").lower() in CODINGS
    if not answer.body or not readable or not re.match(r"text/|application/[\w.+-]*(json|xml)", kind):
        return ""
    text = decoded(answer)
    if "html" in kind:
        text = _MARKUP.sub(" ", text)
    text = one_line(" ".join(text.split()), _EXCERPT).partition("... (")[0]
    return f": {text}" if text else ""
