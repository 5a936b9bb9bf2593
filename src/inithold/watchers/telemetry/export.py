"""Passes data to the SDK's exporters, and finds out why they failed.

An exporter returns only success or failure. The reason is in what it logs and, over HTTP, in the response, which a
hook on its `requests` session reads.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response and https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from threading import Condition, Thread, get_ident
from typing import Any, NamedTuple

from inithold.redaction.redact import scrub
from inithold.runner.events import TelemetrySignal
from inithold.watchers.telemetry.settings import Exporter

PAUSE = 0.5
"""Seconds between two calls of an exporter, short so that a collector that comes up is noticed soon."""
LONGEST_REASON = 200
_RETRYABLE_HTTP = frozenset({408, 429, 502, 503, 504})
"""OTLP's four, and 408, by whose definition the request may be repeated."""
_RETRYABLE_GRPC = frozenset(
    ["CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
_WRONG_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNKNOWN_CA", "BAD_CERTIFICATE")
_PROTOBUF = "application/x-protobuf"
_OTLP: Mapping[TelemetrySignal, tuple[str, str]] = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
"""Module and class of each signal's exporter in the protocol's package."""
_CONSOLE: Mapping[TelemetrySignal, tuple[str, ...]] = {
    "traces": ("trace", "ConsoleSpanExporter"),
    "metrics": ("metrics", "ConsoleMetricExporter"),
    "logs": ("_logs", "ConsoleLogRecordExporter", "ConsoleLogExporter"),  # renamed in SDK 1.39
}
_SERVICES: Mapping[TelemetrySignal, str] = {"traces": "trace", "metrics": "metrics", "logs": "logs"}


class Failure(NamedTuple):
    """Why an export failed.

    Attributes:
        reason: for people.
        final: whether trying again would not help.
    """

    reason: str
    final: bool


class Export(logging.Handler):
    """Exports one signal to one destination in a separate thread, because exporters may block for long.

    It is also the logging handler of its exporter, since only the exporter's log says why an attempt failed.

    Args:
        exporter: the destination.
        batches: what to send, in order.
        retry: whether to retry after a failure.
        changed: notified after each failure and when done.
    """

    def __init__(self, exporter: Exporter, batches: Iterable[Any], *, retry: bool, changed: Condition) -> None:
        super().__init__(logging.WARNING)
        self.exporter = exporter
        self.problem = ""
        self.done = False
        self._batches = list(batches)
        self._retry = retry
        self._changed = changed
        self._thread = Thread(target=self._run, daemon=True, name=f"export-{exporter.signal}")
        self._logged: Failure | None = None
        self._response: Any = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def given_up(self) -> bool:
        """Whether waiting is pointless: it is done, or has failed and is not retried."""
        return self.done or (bool(self.problem) and not self._retry)

    def _run(self) -> None:
        logging.getLogger("opentelemetry.exporter").addHandler(self)
        try:
            self._export(self._made())
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: report it and go on
            self._note(Failure(f"{type(error).__name__}: {error}", final=True))
        with self._changed:
            self.done = True
            self._changed.notify_all()

    def _made(self) -> Any:
        """Create the SDK's exporter; raises for settings that the SDK does not understand."""
        signal, protocol = self.exporter.signal, self.exporter.protocol
        if protocol is None:
            package, *names = _CONSOLE[signal]
            module = import_module(f"opentelemetry.sdk.{package}.export")
            return next(getattr(module, name) for name in names if hasattr(module, name))()
        options = {}
        provider = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"
        # A credential provider, a Python-only extension of the standard, creates the HTTP session itself.
        brings_session = any(os.environ.get(provider.format(each)) for each in ("", f"{signal.upper()}_"))
        if protocol != "grpc" and not brings_session:
            import requests  # noqa: PLC0415 - slow to import, and not needed for gRPC

            options["session"] = session = requests.Session()
            # A redirected POST would become a GET: a success that delivered nothing.
            session.max_redirects = 0
            session.hooks["response"].append(self._note_response)
        name, exporter_class = _OTLP[signal]
        kind = "grpc" if protocol == "grpc" else "http"
        module = import_module(f"opentelemetry.exporter.otlp.proto.{kind}.{name}")
        exporter = getattr(module, exporter_class)(**options)
        for ancestor in type(exporter).__mro__:
            # Some exporters filter out messages that another exporter has just logged.
            logger = logging.getLogger(ancestor.__module__)
            for each in logger.filters.copy():
                logger.removeFilter(each)
        return exporter

    def _export(self, exporter: Any) -> None:
        remarks: list[str] = []
        while self._batches:
            self._response = self._logged = None
            try:
                succeeded = exporter.export(self._batches[0]).name == "SUCCESS"
                failure = self._logged or Failure("the exporter reported a failure", final=False)
            except Exception as error:  # noqa: BLE001 - older exporters do not catch their client's errors
                succeeded, failure = False, _cause(error)
            if (refusal := self._refusal()) is not None:
                succeeded, failure = False, refusal
            if succeeded:
                remarks += self._remark()
                del self._batches[0]  # it is not sent twice
                continue
            self._note(failure)
            if failure.final or not self._retry:
                return
            time.sleep(self._pause())
        self.problem = in_one_line("; ".join(dict.fromkeys(remarks)))

    def _note(self, failure: Failure) -> None:
        """Record a failed attempt; the exporter may go on trying."""
        with self._changed:
            self.problem = in_one_line(failure.reason)
            self._changed.notify_all()

    def _note_response(self, response: Any, **_: Any) -> None:
        self._response = response
        if (refusal := self._refusal()) is not None:
            self._note(refusal)

    def _refusal(self) -> Failure | None:
        """The failure in the last response; None if it was a success, or there is none."""
        response = self._response
        if response is None or 200 <= response.status_code < 300:
            return None
        content_type = response.headers.get("Content-Type", "")
        words = "" if "html" in content_type else response.text
        if content_type.startswith(_PROTOBUF):
            from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # noqa: PLC0415
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # noqa: PLC0415

            try:
                words = str(Status.FromString(response.content).message)
            except DecodeError:  # not the message that OTLP promises
                words = ""
        reason = f"HTTP {response.status_code} {response.reason or ''}".strip() + (f": {words}" if words else "")
        return Failure(reason, final=response.status_code not in _RETRYABLE_HTTP)

    def _pause(self) -> float:
        """Seconds until the next call: for a `Retry-After`, an exporter waits no longer than its timeout."""
        asked = "" if self._response is None else self._response.headers.get("Retry-After", "").strip()
        return max(PAUSE, float(asked)) if asked.isdecimal() else PAUSE

    def _remark(self) -> list[str]:
        """What the last, successful response says about rejected parts."""
        response = self._response
        if response is None or not response.headers.get("Content-Type", "").startswith(_PROTOBUF):
            return []
        from google.protobuf.message import DecodeError  # noqa: PLC0415

        service = _SERVICES[self.exporter.signal]
        messages = import_module(f"opentelemetry.proto.collector.{service}.v1.{service}_service_pb2")
        try:
            answer = getattr(messages, f"Export{service.capitalize()}ServiceResponse").FromString(response.content)
        except DecodeError:  # not the message that OTLP promises; the status said success
            return []
        values = [value for _, value in answer.partial_success.ListFields()]
        parts = [f"{value} rejected" for value in values if isinstance(value, int)]
        parts += [value for value in values if isinstance(value, str)]
        return [": ".join(parts)] if parts else []

    def emit(self, record: logging.LogRecord) -> None:
        """Read the failure from this thread's log records: exporters log gRPC's status or their client's error."""
        if get_ident() != self._thread.ident:
            return
        arguments: tuple[Any, ...] = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, Exception):
                self._logged = _cause(argument)
            elif type(argument).__name__ == "StatusCode":
                name = argument.name
                details = str(arguments[-1] or "") if "details" in record.msg else ""
                reason = "no answer" if name == "DEADLINE_EXCEEDED" else f"{name}: {details}" if details else name
                self._logged = Failure(reason, final=name not in _RETRYABLE_GRPC)
            else:
                continue
            self._note(self._logged)
            return
        # A final `due to timeout, max retries or shutdown` says less than an earlier message.
        self._logged = self._logged or Failure(record.getMessage(), final=False)


def _cause(error: Exception) -> Failure:
    """Why a client could not reach the collector, in the operating system's words if possible."""
    import requests  # noqa: PLC0415 - already loaded, except with gRPC

    if isinstance(error, requests.Timeout):
        return Failure("no answer", final=False)
    wrong = requests.exceptions
    if isinstance(error, wrong.MissingSchema | wrong.InvalidSchema | wrong.InvalidURL):
        return Failure("the endpoint is not an http:// or https:// URL", final=True)
    # Unwrap the exceptions of `requests` and `urllib3`.
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        wrapped = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        reason = getattr(current, "reason", None) or wrapped or current.__cause__ or current.__context__
        current = reason if isinstance(reason, BaseException) else None
    system = next((each.strerror for each in reversed(chain) if isinstance(each, OSError) and each.strerror), "")
    root = system or str(chain[-1]) or type(chain[-1]).__name__
    if isinstance(error, requests.exceptions.SSLError) and any(mark in str(error) for mark in _WRONG_TLS):
        return Failure(root, final=True)
    transient = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    return Failure(root, final=not transient)


def in_one_line(text: str) -> str:
    """Foreign text for one of our log lines: no secrets, line breaks or control characters, and not too long."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in scrub(text)).split())
    return clean if len(clean) <= LONGEST_REASON else clean[:LONGEST_REASON] + "..."
