"""`http.ready`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

from inithold.errors import NotYet, StepFailed
from inithold.redaction.sanitize import one_line
from inithold.steps.address import WEB, parse
from inithold.steps.base import Change, StepContext
from inithold.steps.http.service import BODY, CODINGS, Service, Status, answered, counts, decoded, excerpt

REDIRECTS = 5
_EXCERPT_BODY = 16384
_REDIRECTS = (301, 302, 303, 307, 308)
_HINTS = {
    401: "the service requires credentials: give them in headers, or as user and password in the URL",
    403: "the service refuses the credentials: check headers, or user and password in the URL",
    404: "the service is up: check the path of the URL",
    405: "the service is up: check method and path",
}


class Ready(Service, frozen=True, kw_only=True):
    """Wait until a URL responds as expected.

    Everything else is retried: a refused or lost connection, and any other status, since a service may answer 404
    or 502 until it is deployed. A certificate that cannot be verified fails at once.

    Up to 5 redirects are followed, unless `status` lists the redirect's status. Headers and credentials are sent
    on only to the same host and port. User and password in the URL are sent as Basic authentication. Proxy
    variables are ignored.

    Args:
        method: HTTP method of the request.
        status: the expected status, such as `204`, or a list of them; 200 to 299 if absent.
        contains: text that the first MiB of the body must contain.

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
    rights = "whatever the service requires at this URL"

    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = "GET"
    status: Status | list[Status] | None = None
    contains: str | None = None

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        if self.status == []:
            yield "status", "expected a status such as 200, or a list of them"
        if self.contains is not None and (not self.contains or self.method == "HEAD"):
            yield "contains", "expected a text" if not self.contains else "a HEAD request has no body to look into"

    def check(self, context: StepContext) -> Sequence[Change]:
        address, method, url = self.dialled(context), self.method, self.url
        most = BODY if self.contains is not None else _EXCERPT_BODY

        def enough(status: int, body: bytes) -> bool:
            # The body may never end.
            return counts(status, self.status) and (self.contains is None or self.contains.encode() in body)

        for _ in range(REDIRECTS + 1):
            answer = self.ask(method, url, context, most=most, enough=enough)
            if answer.status not in _REDIRECTS or counts(answer.status, self.status):
                break
            # As browsers do, and as RFC 9110, 15.4.4 requires for 303.
            method = method if answer.status in (307, 308) or method == "HEAD" else "GET"
            here, parts = parse(url, WEB), urlsplit(url)
            base = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
            try:
                url = urljoin(base, answer.headers.get("location", "")).partition("#")[0]
                parse(url, WEB)
            except ValueError as error:
                raise NotYet(f"{here.shown}: answered {answer.status}, a redirect to nowhere") from error
        else:
            raise NotYet(f"{address.shown}: redirects more than {REDIRECTS} times")
        message = answered(parse(url, WEB), answer)
        if not counts(answer.status, self.status):
            raise NotYet(f"{message}{excerpt(answer)}", hint=_HINTS.get(answer.status))
        if self.contains is not None and self.contains not in decoded(answer):
            coding = answer.headers.get("content-encoding", "identity").lower()
            if coding not in CODINGS:
                raise StepFailed(
                    f"{message} with a body compressed as {one_line(coding, 60)}, which was not asked for",
                    hint="let the service honour Accept-Encoding: identity, or leave out contains",
                )
            raise NotYet(f"{message} without {one_line(self.contains, 60)!r}{excerpt(answer)}")
        return ()
