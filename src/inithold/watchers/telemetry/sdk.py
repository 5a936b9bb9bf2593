"""The sender's OpenTelemetry providers, which only collect, and never send by themselves."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import Tracer

from inithold.runner.events import Span
from inithold.runner.otel_sdk import (
    metric_reader,
    prefers_exponential,
    span_processor,
)
from inithold.version import __version__

if TYPE_CHECKING:
    from inithold.watchers.telemetry.logs import Logs

SCOPE = "inithold"
"""Name of inithold's own instrumentation scope."""
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_BUCKETS = {
    "init.duration": _SECONDS,
    "init.step.duration": _SECONDS,
    "init.step.attempts": (1, 2, 3, 5, 10, 20, 50, 100, 500),
}


class _Ids(RandomIdGenerator):
    """Generates the ids in `given`, or random ones if it is None."""

    given: Span | None = None

    def generate_trace_id(self) -> int:
        return int(self.given.trace_id, 16) if self.given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return int(self.given.span_id, 16) if self.given else super().generate_span_id()


class Sdk:
    """The providers and the data they have collected.

    Args:
        plan: the plan's name.
        instance: `service.instance.id`, unless the variables set one; empty for the SDK's own.
    """

    def __init__(self, plan: str, instance: str = "") -> None:
        resource = Resource.create()
        # The SDK generates a new one in each process, and so for each check of a hold.
        if instance and f"{SERVICE_INSTANCE_ID}=" not in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, ""):
            resource = resource.merge(Resource({SERVICE_INSTANCE_ID: instance}))
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            named = {SERVICE_NAMESPACE: plan} if plan and SERVICE_NAMESPACE not in resource.attributes else {}
            resource = resource.merge(Resource({SERVICE_NAME: "init", **named}))
        self.resource = resource
        self.spans: list[Any] = []
        self.log_records: list[Any] = []
        self.reader = metric_reader()
        self._ids = _Ids()
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
        self.tracer_provider.add_span_processor(span_processor(self.spans.append))
        # The SDK's own buckets are milliseconds'; ours would override a wish for exponential ones.
        views = [
            View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(boundaries=boundaries))
            for name, boundaries in _BUCKETS.items()
            if not prefers_exponential()
        ]
        meter_provider = MeterProvider([self.reader], resource, shutdown_on_exit=False, views=views)
        self.meter = meter_provider.get_meter(SCOPE, __version__)
        self._tracer = self.tracer_provider.get_tracer(SCOPE, __version__)

    def start_span(
        self,
        name: str,
        ids: Span | None,
        parent: Context,
        start: int,
        *,
        tracer: Tracer | None = None,
        **options: Any,
    ) -> OtelSpan:
        """Start a span.

        Args:
            name: of the span.
            ids: it gets these; random ones if None.
            parent: context of its parent.
            start: Unix time in nanoseconds.
            tracer: inithold's own if None.
            options: as `Tracer.start_span` takes them.
        """
        self._ids.given = ids
        return (tracer or self._tracer).start_span(name, parent, start_time=start, **options)

    @cached_property
    def logs(self) -> Logs:
        """Makes log records. Most checks of a hold have none, and do without this part of the SDK."""
        from inithold.watchers.telemetry.logs import Logs  # noqa: PLC0415

        return Logs(self.resource, self.log_records.append)
