"""OTLP over gRPC: one call is one attempt.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response
"""

from __future__ import annotations

import os
from typing import Any

# gRPC's own C++ log goes straight to standard error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # type: ignore[import-untyped] # stubs are a package of their own

from inithold.watchers.telemetry.delivery import NotDelivered, Sender
from inithold.watchers.telemetry.otlp import Plain, rejected
from inithold.watchers.telemetry.sdk import takes

RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_BACKOFF = (("grpc.initial_reconnect_backoff_ms", 250), ("grpc.max_reconnect_backoff_ms", 1000))
"""gRPC waits up to two minutes before it connects again; a call meanwhile fails without having tried."""


class _OneAttempt:
    """Stands before the exporter's stub: an error of gRPC's never reaches the exporter, which would try again."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self.seconds = 0.0
        self.remark = ""

    def Export(self, request: Any, metadata: Any = None, timeout: float | None = None) -> Any:  # noqa: N802 - its name
        seconds = self.seconds if timeout is None else min(timeout, self.seconds)
        try:
            response = self._stub.Export(request=request, metadata=metadata, timeout=seconds)
        except grpc.RpcError as error:
            raise _failed(error) from error
        self.remark = rejected(response)
        return response


class _GrpcSender:
    def __init__(self, exporter: Any, stub: _OneAttempt) -> None:
        self._exporter = exporter
        self._stub = stub

    def send(self, batch: Any, seconds: float) -> str:
        self._stub.seconds = max(0.001, seconds)
        self._stub.remark = ""
        result = self._exporter.export(batch)
        if result.name != "SUCCESS":
            raise NotDelivered("the exporter could not encode it", permanent=True)
        return self._stub.remark


def open_grpc(exporter: Any) -> Sender:
    """Make an exporter of the class `exporter`, one of the SDK's three, that tries once."""
    options = {"channel_options": _BACKOFF} if takes(exporter.__init__, "channel_options") else {}
    made = exporter(**options)
    if not hasattr(made, "_client"):
        # Another SDK's inside: its own retrying then, within the deadline all the same.
        return Plain(made)
    made._client = stub = _OneAttempt(made._client)
    return _GrpcSender(made, stub)


def _failed(error: Any) -> NotDelivered:
    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NotDelivered("no answer")
    details = error.details() or ""
    return NotDelivered(f"{code.name}: {details}" if details else code.name, permanent=code not in RETRYABLE)
