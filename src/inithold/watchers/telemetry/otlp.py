"""Opens the SDK's exporters so that each call to one is a single attempt whose end can be told."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NamedTuple

from inithold.watchers.telemetry.delivery import NotDelivered, Sender
from inithold.watchers.telemetry.settings import Exporter, Signal


class _Names(NamedTuple):
    otlp_module: str
    otlp_class: str
    sdk_module: str
    console_classes: tuple[str, ...]
    proto_module: str
    response: str


_NAMES: dict[Signal, _Names] = {
    "traces": _Names(
        "trace_exporter",
        "OTLPSpanExporter",
        "trace",
        ("ConsoleSpanExporter",),
        "trace.v1.trace_service_pb2",
        "ExportTraceServiceResponse",
    ),
    "metrics": _Names(
        "metric_exporter",
        "OTLPMetricExporter",
        "metrics",
        ("ConsoleMetricExporter",),
        "metrics.v1.metrics_service_pb2",
        "ExportMetricsServiceResponse",
    ),
    "logs": _Names(
        "_log_exporter",
        "OTLPLogExporter",
        "_logs",
        ("ConsoleLogRecordExporter", "ConsoleLogExporter"),  # renamed in SDK 1.39
        "logs.v1.logs_service_pb2",
        "ExportLogsServiceResponse",
    ),
}


class Plain:
    """Sends by an exporter as it is.

    Args:
        exporter: the SDK's.
    """

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def send(self, batch: Any, seconds: float) -> str:  # noqa: ARG002 - the exporter has its own idea of time
        result = self._exporter.export(batch)
        if result.name != "SUCCESS":
            raise NotDelivered("the exporter reported a failure")
        return ""


def open_exporter(exporter: Exporter) -> Sender:
    """Import and set up an exporter from the `OTEL_*` variables.

    Raises:
        Exception: whatever the library raises about a setting it does not understand.
    """
    names = _NAMES[exporter.signal]
    if exporter.protocol is None:
        return Plain(_console(names))
    kind = "grpc" if exporter.protocol == "grpc" else "http"
    module = import_module(f"opentelemetry.exporter.otlp.proto.{kind}.{names.otlp_module}")
    made = getattr(module, names.otlp_class)
    if kind == "grpc":
        from inithold.watchers.telemetry.otlp_grpc import open_grpc  # noqa: PLC0415 - gRPC is an extra of its own

        return open_grpc(made)
    if _brings_session(exporter.signal):
        return Plain(made())
    from inithold.watchers.telemetry.otlp_http import open_http  # noqa: PLC0415 - its client is slow to import

    response = getattr(import_module(f"opentelemetry.proto.collector.{names.proto_module}"), names.response)
    return open_http(made, response)


def rejected(response: Any) -> str:
    """What an OTLP response says about a part that was not taken; empty where everything was."""
    parts = [value for _, value in response.partial_success.ListFields()]
    counts = [f"{value} rejected" for value in parts if isinstance(value, int)]
    messages = [value for value in parts if isinstance(value, str)]
    return ": ".join(counts + messages)


def _console(names: _Names) -> Any:
    module = import_module(f"opentelemetry.sdk.{names.sdk_module}.export")
    return next(getattr(module, name) for name in names.console_classes if hasattr(module, name))()


def _brings_session(signal: Signal) -> bool:
    """Whether a credential provider, a Python-only extension of the standard, makes the HTTP session."""
    prefix = "OTEL_PYTHON_EXPORTER_OTLP_HTTP"
    names = (f"{prefix}_CREDENTIAL_PROVIDER", f"{prefix}_{signal.upper()}_CREDENTIAL_PROVIDER")
    return any(os.environ.get(name) for name in names)
