"""OpenTelemetry of user code: makes its spans children of the step's, and hands finished data to the sender.

Nothing here talks to a collector. The SDK is loaded only in a process whose user code uses OpenTelemetry: an
import hook sees the API being imported, and `OTEL_PYTHON_*_PROVIDER` then names our provider for code that sets
none. A provider that the code sets is left alone, and flushed at the end, because the process execs or ends
without running exit handlers.

Data goes out as `FromUserCode` events, whose body is a JSON list of spans, log records or the SDK's
`ScopeMetrics`, each as `otel_sdk` converts it to plain values.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from threading import Lock, RLock, Thread, get_ident
from types import ModuleType
from typing import Any

from inithold.runner.events import FromUserCode, Span, TelemetrySignal
from inithold.runner.otel_sdk import (
    context_of,
    log_fields,
    log_processor,
    metric_reader,
    packed,
    plain,
    span_fields,
    span_processor,
)

MOST_ITEMS = 10_000
"""Spans and log records that a process hands over; further ones are only counted."""
COLLECTING = 0.5
"""Seconds that user code's callbacks for observable metrics may take."""
_MODULES: Mapping[TelemetrySignal, str] = {"traces": "trace", "metrics": "metrics", "logs": "_logs"}
"""The modules of the API and the SDK that have the providers: code that makes spans imports one of these first."""
_PROVIDERS: Mapping[TelemetrySignal, str] = {
    "traces": "tracer_provider",
    "metrics": "meter_provider",
    "logs": "logger_provider",
}
"""The API's word for the provider in its functions, variables and entry points."""
_NAME = "inithold"
"""The name of our entry points, by which the API finds our providers."""
_ATTACHED: ContextVar[Any] = ContextVar("_ATTACHED", default=None)
"""OpenTelemetry's token to detach the step's span; None if none is attached."""


class UserTelemetry:
    """Collects the telemetry of user code in this process. One per process.

    Args:
        signals: the signals to export; for others, no provider is offered.
        emit: receives the events, from any thread.
        on_warning: receives warnings, such as that the SDK cannot be used.
    """

    def __init__(
        self,
        signals: Collection[TelemetrySignal],
        emit: Callable[[FromUserCode], object],
        on_warning: Callable[[str], object],
    ) -> None:
        self.signals = signals
        self._emit = emit
        self._on_warning = on_warning
        self._lock = Lock()
        self._offered = False
        self._making = RLock()
        self._made: dict[TelemetrySignal, Any] = {}
        self._reader: Any = None
        self._items = 0
        self._unusable = 0
        self._why_unusable = ""

    @contextmanager
    def scope(self, span: Span) -> Iterator[None]:
        """Within the `with` block, spans and log records that this thread makes belong to `span`.

        If OpenTelemetry is not imported yet, that begins when this thread imports it.
        """
        outer = _ATTACHED.set(None)
        finder = _Finder(lambda: self._attach(span, early=True))
        if any(f"opentelemetry.{module}" in sys.modules for module in _MODULES.values()):
            self._attach(span, early=False)
        else:
            sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
            # None if it was attached inside an asyncio task: that context ended with the task.
            if (token := _ATTACHED.get()) is not None:
                from opentelemetry.context import detach  # noqa: PLC0415 - loaded by then

                detach(token)
            _ATTACHED.reset(outer)

    def _attach(self, span: Span, *, early: bool) -> None:
        try:
            if not self._offered:
                self._offer(early=early)
        except Exception as error:  # noqa: BLE001 - telemetry must not stop the user's code
            self._on_warning(f"OpenTelemetry cannot be used: {type(error).__name__}: {error}")
        self._offered = True
        from opentelemetry.context import attach  # noqa: PLC0415 - loaded by then

        _ATTACHED.set(attach(context_of(span)))

    def _offer(self, *, early: bool) -> None:
        """Make the API use our providers if user code sets none.

        Args:
            early: whether nothing had imported the API before; if not, proxy tracers may already exist.
        """
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and few use OpenTelemetry

        _offering.append(self)
        if early and entry_points(group="opentelemetry_tracer_provider", name=_NAME):
            # The API loads them on first use, if no provider is set by then.
            for signal in self.signals:
                os.environ.setdefault(_variable(signal), _NAME)
            return
        # Import without our lock: another thread may hold the import lock of one of these modules.
        for signal, module in _MODULES.items():
            import_module(f"opentelemetry.sdk.{module}")
            api, kind = import_module(f"opentelemetry.{module}"), _PROVIDERS[signal]
            # The API returns a proxy until a provider is set.
            unset = type(getattr(api, f"get_{kind}")()).__name__.lstrip("_").startswith("Proxy")
            if signal in self.signals and unset:
                getattr(api, f"set_{kind}")(self.provider(signal))

    def finish(self, seconds: float) -> Callable[[], str | None]:
        """Hand over the metrics, and start to flush the user's own providers.

        Returns:
            a function that waits for the flush, and returns a message if it failed or did not end in time.
        """
        if (left_out := self._items - MOST_ITEMS) > 0:
            self._on_warning(
                f"{left_out} spans and log records of user code were left out: more than telemetry takes of a run"
            )
        until = time.monotonic() + seconds
        if self._reader is not None and (scopes := self._collected(min(COLLECTING, seconds / 2))):
            self._send("metrics", scopes, lambda scopes: [packed(scope) for scope in scopes])
        if self._unusable:
            why = f"{self._unusable} left out, the last because of {self._why_unusable}"
            self._on_warning(f"the user code's telemetry is incomplete: {why}")
        pending: dict[str, Thread] = {}

        def flush(provider: Any, name: str) -> None:
            with suppress(Exception):  # the user's exporter may raise anything
                if provider.force_flush(round(seconds * 1000)) is not False:
                    del pending[name]

        for provider in self._foreign() if self._offered else ():
            # One thread each, because a flush may hang.
            name = type(provider).__name__
            pending[name] = Thread(target=flush, args=(provider, name), daemon=True)
        threads = list(pending.values())
        for thread in threads:
            thread.start()

        def outcome() -> str | None:
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            names = ", ".join(sorted(pending))
            return (
                f"the user code's own telemetry was not flushed within {seconds:g} s: {names}" if names else None
            )

        return outcome

    def _collected(self, seconds: float) -> list[Any]:
        """The metrics. In a thread, because this calls the user's callbacks, which may hang or exit."""
        collected: list[Any] = []

        def collect() -> None:
            with suppress(BaseException):
                data = self._reader.get_metrics_data()
                collected.append(data.resource_metrics if data else [])

        thread = Thread(target=collect, daemon=True, name="inithold-metrics")
        thread.start()
        thread.join(seconds)
        if not collected:
            why = f"their callbacks did not return within {seconds:g} s"
            self._on_warning(f"the user code's metrics were left out: {why}")
        return [scope for resources in collected for resource in resources for scope in resource.scope_metrics]

    def _foreign(self) -> list[Any]:
        """The providers that the user's code has set."""
        present = []
        for signal, module in _MODULES.items():
            if os.environ.get(_variable(signal)) == _NAME:
                del os.environ[_variable(signal)]
            if (api := sys.modules.get(f"opentelemetry.{module}")) is not None:
                present.append(getattr(api, f"get_{_PROVIDERS[signal]}")())
        own = list(self._made.values())
        return [each for each in present if each not in own and hasattr(each, "force_flush")]

    def provider(self, signal: TelemetrySignal) -> Any:
        """Our provider, for user code that has set none; created on first use."""
        with self._making:
            if signal not in self._made:
                # An RLock, because the SDK may ask for another provider here, to measure itself.
                sdk = import_module(f"opentelemetry.sdk.{_MODULES[signal]}")
                provider: Any
                if signal == "traces":
                    provider = sdk.TracerProvider(shutdown_on_exit=False)
                    provider.add_span_processor(
                        span_processor(lambda span: self.hand_over("traces", span, span_fields))
                    )
                elif signal == "logs":
                    provider = sdk.LoggerProvider(shutdown_on_exit=False)
                    provider.add_log_record_processor(
                        log_processor(lambda record: self.hand_over("logs", record, log_fields))
                    )
                else:
                    self._reader = metric_reader()
                    provider = sdk.MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
                self._made[signal] = provider
            return self._made[signal]

    def hand_over(self, signal: TelemetrySignal, item: Any, fields: Callable[[Any], Any]) -> None:
        """Hand over one finished span or log record; `fields` converts it to plain values."""
        with self._lock:
            self._items += 1
            if self._items > MOST_ITEMS:
                return
        self._send(signal, item, lambda item: [fields(item)])

    def _send(self, signal: TelemetrySignal, data: Any, fields: Callable[[Any], list[Any]]) -> None:
        try:
            body = json.dumps(fields(data), default=plain)
        except Exception as error:  # noqa: BLE001 - a log's body may be anything, and user code must not fail on it
            with self._lock:
                self._unusable += 1
                self._why_unusable = f"{type(error).__name__}: {error}"
            return
        self._emit(FromUserCode(signal=signal, body=body))


_offering: list[UserTelemetry] = []
"""The last one provides the entry points' providers."""


def _offered(signal: TelemetrySignal) -> Any:
    # Programs that the user code starts must not inherit it.
    os.environ.pop(_variable(signal), None)
    return _offering[-1].provider(signal)


# The entry points `inithold` of `opentelemetry_tracer_provider`, `_meter_provider` and `_logger_provider`.
tracer_provider = partial(_offered, "traces")
meter_provider = partial(_offered, "metrics")
logger_provider = partial(_offered, "logs")


def _variable(signal: TelemetrySignal) -> str:
    """The variable that names the API's default provider."""
    return f"OTEL_PYTHON_{_PROVIDERS[signal].upper()}"


class _Finder:
    """An import hook: calls `act` once, after this thread has imported the first module in `_MODULES`."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._thread = get_ident()

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        package, _, name = fullname.partition(".")
        if package != "opentelemetry" or name not in _MODULES.values() or get_ident() != self._thread:
            return None
        others = [each for each in sys.meta_path if not isinstance(each, _Finder) and hasattr(each, "find_spec")]
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                # Restore the loader, so that the import leaves no trace.
                del loader.exec_module
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                    self._act()

            loader.exec_module = exec_module
        return spec
