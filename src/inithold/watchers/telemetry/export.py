"""Hands data to the SDK's exporters, and finds out how that went.

An exporter is called in a thread of its own, and retries and blocks as it likes: the sender ends at its deadline
all the same. It answers with success or failure and no more; why it failed is in what it logs and, over HTTP, in
the response, which a hook of its `requests` session sees.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response and https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from threading import Condition, Thread, get_ident
from typing import Any, NamedTuple

from inithold.redaction.redact import scrub
from inithold.runner.events import TelemetrySignal
from inithold.text.duration import spoken
from inithold.watchers.telemetry.settings import Exporter, listed

PAUSE = 0.5
"""Seconds between two calls of an exporter: a collector that has come up is noticed soon."""
LONGEST_REASON = 200
_RETRYABLE_HTTP = frozenset({408, 429, 502, 503, 504})
"""OTLP's four and 408, which says of itself that the request may be repeated."""
_RETRYABLE_GRPC = frozenset(
    {
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
_WRONG_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNKNOWN_CA", "BAD_CERTIFICATE")
_PROTOBUF = "application/x-protobuf"


_OTLP: Mapping[TelemetrySignal, tuple[str, str]] = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
"""Module and class of each signal's exporter, in the package of the protocol."""
_CONSOLE: Mapping[TelemetrySignal, tuple[str, ...]] = {
    "traces": ("trace", "ConsoleSpanExporter"),
    "metrics": ("metrics", "ConsoleMetricExporter"),
    "logs": ("_logs", "ConsoleLogRecordExporter", "ConsoleLogExporter"),  # renamed in SDK 1.39
}
_SERVICES: Mapping[TelemetrySignal, str] = {"traces": "trace", "metrics": "metrics", "logs": "logs"}


class Failure(NamedTuple):
    """Why something did not arrive.

    Attributes:
        reason: for people.
        final: whether trying again would not help.
    """

    reason: str
    final: bool


class Export:
    """One signal on its way to one destination.

    Args:
        exporter: where to.
        batches: what to send, in order.
        retry: whether to try again what failed.
        changed: notified when this has failed, even once, or is done.
    """

    def __init__(self, exporter: Exporter, batches: Iterable[Any], *, retry: bool, changed: Condition) -> None:
        self.exporter = exporter
        self.problem = ""
        self.done = False
        self._batches = list(batches)
        self._retry = retry
        self._changed = changed

    def start(self) -> None:
        """Begin, in a thread of its own."""
        Thread(target=self._run, daemon=True, name=f"export-{self.exporter.signal}").start()

    @property
    def given_up(self) -> bool:
        """Whether nothing more is to be waited for: it is done, or has failed and is not to be tried again."""
        return self.done or (bool(self.problem) and not self._retry)

    def _run(self) -> None:
        try:
            self._export()
        except Exception as error:  # noqa: BLE001 - a wrong setting or a broken library: said, never in the way
            self._note(Failure(f"{type(error).__name__}: {error}", final=True))
        with self._changed:
            self.done = True
            self._changed.notify_all()

    def _export(self) -> None:
        target = _Target(self.exporter, self._note)
        remarks: list[str] = []
        while self._batches:
            outcome = target.send(self._batches[0])
            if isinstance(outcome, Failure):
                self._note(outcome)
                if outcome.final or not self._retry:
                    return
                time.sleep(PAUSE)
                continue
            # It is not sent twice.
            self._batches.pop(0)
            remarks += [outcome] if outcome else []
        self.problem = in_one_line("; ".join(dict.fromkeys(remarks)))

    def _note(self, failure: Failure) -> None:
        with self._changed:
            self.problem = in_one_line(failure.reason)
            self._changed.notify_all()


class _Target:
    """One of the SDK's exporters.

    Args:
        exporter: which.
        on_failure: called with each attempt that failed; the exporter may go on trying.

    Raises:
        Exception: whatever the library raises about a setting it does not understand.
    """

    def __init__(self, exporter: Exporter, on_failure: Callable[[Failure], object]) -> None:
        LOG.follow(on_failure)
        self._on_failure = on_failure
        self._signal = exporter.signal
        self._response: Any = None
        if exporter.protocol is None:
            package, *names = _CONSOLE[exporter.signal]
            module = import_module(f"opentelemetry.sdk.{package}.export")
            self._exporter = next(getattr(module, name) for name in names if hasattr(module, name))()
            return
        options = {}
        if exporter.protocol != "grpc" and not _brings_session(exporter.signal):
            import requests  # noqa: PLC0415 - slow to import, and not of gRPC

            options["session"] = session = requests.Session()
            # A redirected POST would become a GET: a success that delivered nothing.
            session.max_redirects = 0
            session.hooks["response"].append(self._note_response)
        kind = "grpc" if exporter.protocol == "grpc" else "http"
        name, exporter_class = _OTLP[exporter.signal]
        module = import_module(f"opentelemetry.exporter.otlp.proto.{kind}.{name}")
        self._exporter = getattr(module, exporter_class)(**options)
        for ancestor in type(self._exporter).__mro__:
            # Some keep to themselves what another exporter has logged just before.
            logger = logging.getLogger(ancestor.__module__)
            for each in logger.filters.copy():
                logger.removeFilter(each)

    def send(self, batch: Any) -> Failure | str:
        """Send once.

        Returns:
            what failed, or what the collector has to say about a part it did not take; empty where it took all.
        """
        self._response = None
        LOG.forget()
        try:
            succeeded = self._exporter.export(batch).name == "SUCCESS"
        except Exception as error:  # noqa: BLE001 - older exporters let through what their client raises
            return self._refusal() or _cause(error)
        if (refusal := self._refusal()) is not None:
            return refusal
        if not succeeded:
            return LOG.last() or Failure("the exporter reported a failure", final=False)
        return self._remark()

    def _note_response(self, response: Any, **_: Any) -> None:
        self._response = response
        if (refusal := self._refusal()) is not None:
            self._on_failure(refusal)

    def _refusal(self) -> Failure | None:
        """What the last response refuses; None where it does not, or there is none."""
        response = self._response
        if response is None or 200 <= response.status_code < 300:
            return None
        words = "" if "html" in response.headers.get("Content-Type", "") else response.text
        if response.headers.get("Content-Type", "").startswith(_PROTOBUF):
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # noqa: PLC0415

            try:
                words = str(Status.FromString(response.content).message)
            except ValueError:  # not the message that OTLP promises
                words = ""
        reason = f"HTTP {response.status_code} {response.reason or ''}".strip() + (f": {words}" if words else "")
        return Failure(reason, final=response.status_code not in _RETRYABLE_HTTP)

    def _remark(self) -> str:
        """What a response says about a part that was not taken."""
        response = self._response
        if response is None or not response.headers.get("Content-Type", "").startswith(_PROTOBUF):
            return ""
        service = _SERVICES[self._signal]
        messages = import_module(f"opentelemetry.proto.collector.{service}.v1.{service}_service_pb2")
        try:
            answer = getattr(messages, f"Export{service.capitalize()}ServiceResponse").FromString(response.content)
        except ValueError:  # not the message that OTLP promises; the status said success
            return ""
        values = [value for _, value in answer.partial_success.ListFields()]
        counts = [f"{value} rejected" for value in values if isinstance(value, int)]
        return ": ".join(counts + [value for value in values if isinstance(value, str)])


def _brings_session(signal: TelemetrySignal) -> bool:
    """Whether a credential provider, a Python-only extension of the standard, makes the HTTP session."""
    prefix = "OTEL_PYTHON_EXPORTER_OTLP_HTTP"
    names = (f"{prefix}_CREDENTIAL_PROVIDER", f"{prefix}_{signal.upper()}_CREDENTIAL_PROVIDER")
    return any(os.environ.get(name) for name in names)


# -- why an export failed


class _Log(logging.Handler):
    """What the exporters log: nobody else says it, and it tells why they failed. Each has a thread of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: dict[int, Failure] = {}
        self._followers: dict[int, Callable[[Failure], object]] = {}

    def install(self) -> None:
        """Take the place of all that writes a log of this process."""
        logging.basicConfig(handlers=[self], force=True)

    def follow(self, on_failure: Callable[[Failure], object]) -> None:
        """Call `on_failure` with each failure that this thread logs."""
        self._followers[get_ident()] = on_failure

    def forget(self) -> None:
        """Forget what this thread has logged."""
        self._last.pop(get_ident(), None)

    def last(self) -> Failure | None:
        """Why the last attempt of this thread failed; None where it said nothing."""
        return self._last.get(get_ident())

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("opentelemetry.exporter"):
            return
        failure = _logged(record)
        if failure is None:
            # `due to timeout, max retries or shutdown`: what was said before tells more.
            self._last.setdefault(get_ident(), Failure(record.getMessage(), final=False))
            return
        self._last[get_ident()] = failure
        if on_failure := self._followers.get(get_ident()):
            on_failure(failure)


LOG = _Log()


def _logged(record: logging.LogRecord) -> Failure | None:
    """The failure that a record is about: exporters log gRPC's status, or what their HTTP client raised."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    argument: Any
    for argument in arguments:
        if isinstance(argument, Exception):
            return _cause(argument)
        if type(argument).__name__ == "StatusCode":
            if argument.name == "DEADLINE_EXCEEDED":
                return Failure("no answer", final=False)
            details = str(arguments[-1] or "") if "details" in record.msg else ""
            reason = f"{argument.name}: {details}" if details else argument.name
            return Failure(reason, final=argument.name not in _RETRYABLE_GRPC)
    return None


def _cause(error: Exception) -> Failure:
    """Why a client could not reach the collector, in the words of the system."""
    import requests  # noqa: PLC0415 - loaded by then, but for gRPC

    text = str(error)
    if isinstance(error, requests.Timeout):
        return Failure("no answer", final=False)
    if isinstance(error, requests.exceptions.SSLError) and any(mark in text for mark in _WRONG_TLS):
        return Failure(_root(error), final=True)
    transient = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    return Failure(_root(error), final=not transient)


def _root(error: BaseException) -> str:
    """The words of what lies under the wrappings of `requests` and `urllib3`."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        wrapped = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        current = getattr(current, "reason", None) or wrapped or current.__cause__ or current.__context__
        current = current if isinstance(current, BaseException) else None
    system = next((each for each in reversed(chain) if isinstance(each, OSError) and each.strerror), None)
    return system.strerror if system and system.strerror else str(chain[-1]) or type(chain[-1]).__name__


def summary(exports: Sequence[Export], seconds: float) -> str | None:
    """The one line about what was given up, None where everything arrived.

    Args:
        exports: all of them.
        seconds: for how long it was tried.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for export in exports:
        if export.problem or not export.done:
            reason = export.problem or "no answer"
            groups.setdefault((export.exporter.address, reason, export.exporter.hint), []).append(
                export.exporter.signal
            )
    if not groups:
        return None
    parts = [
        f"{listed(signals)} to {address}: {reason}{f' ({hint})' if hint else ''}"
        for (address, reason, hint), signals in groups.items()
    ]
    return f"telemetry was not delivered within {spoken(seconds)}: {'; '.join(parts)}"


def in_one_line(text: str) -> str:
    """Foreign text fit for a line of ours: no secrets, no line breaks or control characters, not too long."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in scrub(text)).split())
    return clean if len(clean) <= LONGEST_REASON else clean[:LONGEST_REASON] + "..."
