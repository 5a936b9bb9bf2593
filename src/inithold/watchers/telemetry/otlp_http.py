"""OTLP over HTTP: one request is one attempt, and its answer is read by OTLP's rules.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

from typing import Any

import requests
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from inithold.watchers.telemetry.delivery import NotDelivered, Sender, in_one_line
from inithold.watchers.telemetry.otlp import rejected

RETRYABLE = frozenset({408, 429, 502, 503, 504})
"""OTLP's four and 408, which says of itself that the request may be repeated."""
_PROTOBUF = "application/x-protobuf"
_WRONG_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNKNOWN_CA", "BAD_CERTIFICATE")


class _OneAttempt(requests.Session):
    """A session whose every request ends the export it belongs to, well or not.

    The exporter would try again by itself, with pauses that leave no room for the deadline. It does so for the
    errors of `requests` and for some status codes: it gets to see neither.
    """

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.seconds = 0.0
        self.remark = ""
        self.failed: NotDelivered | None = None
        self._response = response

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        own = kwargs.get("timeout")
        kwargs["timeout"] = max(0.001, min(own, self.seconds) if isinstance(own, int | float) else self.seconds)
        # A redirected POST becomes a GET: a success that delivered nothing.
        kwargs["allow_redirects"] = False
        # The certificate of the OTEL_* variables goes before that of REQUESTS_CA_BUNDLE.
        kwargs.setdefault("verify", self.verify)
        try:
            answer = super().request(*args, **kwargs)
        except Exception as error:
            self.failed = _unreachable(error)
            raise self.failed from error
        if not 200 <= answer.status_code < 300:
            self.failed = _refused(answer)
            raise self.failed
        self.remark = _remark(answer, self._response)
        return answer


class _HttpSender:
    def __init__(self, exporter: Any, session: _OneAttempt) -> None:
        self._exporter = exporter
        self._session = session

    def send(self, batch: Any, seconds: float) -> str:
        self._session.seconds = seconds
        self._session.remark = ""
        self._session.failed = None
        result = self._exporter.export(batch)
        if self._session.failed is not None:
            # Newer exporters catch what the session raises, older ones let it through.
            raise self._session.failed
        if result.name != "SUCCESS":
            raise NotDelivered("the exporter could not encode it", permanent=True)
        return self._session.remark


def open_http(exporter: Any, response: Any) -> Sender:
    """Make an exporter of the class `exporter` that tries once.

    Args:
        exporter: one of the SDK's three classes.
        response: the message its collector answers with.
    """
    session = _OneAttempt(response)
    return _HttpSender(exporter(session=session), session)


def _unreachable(error: Exception) -> NotDelivered:
    if isinstance(error, requests.Timeout):
        return NotDelivered("no answer")
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError) and any(mark in text for mark in _WRONG_TLS):
        return NotDelivered(_root(error), permanent=True)
    transient = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    return NotDelivered(_root(error), permanent=not transient)


def _root(error: BaseException) -> str:
    """The words of what lies under the wrappings of `requests` and `urllib3`."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        wrapped = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        current = getattr(current, "reason", None) or wrapped or current.__cause__ or current.__context__
        current = current if isinstance(current, BaseException) else None
    system = next((found for found in reversed(seen) if isinstance(found, OSError) and found.strerror), None)
    return system.strerror if system and system.strerror else str(seen[-1]) or type(seen[-1]).__name__


def _refused(answer: requests.Response) -> NotDelivered:
    said = _said(answer)
    reason = f"HTTP {answer.status_code} {answer.reason or ''}".strip() + (f": {said}" if said else "")
    return NotDelivered(reason, permanent=answer.status_code not in RETRYABLE, after=_retry_after(answer))


def _said(answer: requests.Response) -> str:
    if answer.headers.get("Content-Type", "").startswith(_PROTOBUF):
        try:
            return str(Status.FromString(answer.content).message)
        except ValueError:  # not the message that OTLP promises
            return ""
    kind = answer.headers.get("Content-Type", "")
    return "" if "html" in kind else in_one_line(answer.text)


def _retry_after(answer: requests.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:  # a date: the usual pause will do
        return 0.0


def _remark(answer: requests.Response, response: Any) -> str:
    if not answer.headers.get("Content-Type", "").startswith(_PROTOBUF):
        return ""
    try:
        return rejected(response.FromString(answer.content))
    except ValueError:  # not the message that OTLP promises; the status said success
        return ""
