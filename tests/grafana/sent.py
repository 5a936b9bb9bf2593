"""What a run has sent, under the names that Tempo, Loki and Prometheus give it, and what a query asks beyond that.

Tempo keeps names. Loki turns resource and log attributes into labels, with `_` for every other character, and
adds the record's own fields: https://grafana.com/docs/loki/latest/send-data/otel/. Prometheus, like Mimir, adds
suffixes of unit and type and makes `job` and `instance` of the service:
https://prometheus.io/docs/guides/opentelemetry/ and
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from grafana.queries import Name
from servers.otlp import Collector
from servers.otlp_records import LogRecord, Metric, Span

Values = Mapping[str, set[str]]

INDEXED = {"service.name", "service.namespace", "service.instance.id", "deployment.environment"}
"""Of the resource attributes that Loki makes stream labels of unless told otherwise, those that a stack has."""

UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes", "1": ""}
"""What Prometheus writes for a unit; one in braces, such as `{run}`, is an annotation and leaves no trace."""

IDENTIFYING = {"service.name", "service.namespace", "service.instance.id"}
"""Resource attributes that are in `job` and `instance`, and so not in `target_info`."""


class Sent:
    """Everything that was received, as the three stores have it.

    Args:
        collectors: each with what runs have sent.
    """

    def __init__(self, collectors: Iterable[Collector]) -> None:
        collectors = list(collectors)
        self.streams: dict[str, set[str]] = defaultdict(set)
        self.log_labels: dict[str, set[str]] = defaultdict(set)
        self.bodies: list[str] = []
        self.span_names: set[str] = set()
        self.spans: dict[str, set[str]] = defaultdict(set)
        self.resources: dict[str, set[str]] = defaultdict(set)
        self.metrics: dict[str, dict[str, set[str]]] = {}
        records = [record for collector in collectors for record in collector.logs]
        for record in records:
            self._add_log(record)
        for label in self.log_labels:
            if not all(label in _labels(record) for record in records):
                self.log_labels[label].add("")  # to Loki, a label that is not there is empty
        for span in (span for collector in collectors for span in collector.spans):
            self._add_span(span)
        for metric in (metric for collector in collectors for metric in collector.metrics):
            self._add_metric(metric)

    def _add_log(self, record: LogRecord) -> None:
        self.bodies.append(str(record.body))
        for label, value in _labels(record).items():
            self.log_labels[label].add(value)
        for attribute in INDEXED & set(record.resource):
            self.streams[underscored(attribute)].add(str(record.resource[attribute]))

    def _add_span(self, span: Span) -> None:
        self.span_names.add(span.name)
        _add(self.spans, span.attributes)
        _add(self.resources, span.resource)

    def _add_metric(self, metric: Metric) -> None:
        service, namespace = metric.resource["service.name"], metric.resource.get("service.namespace")
        target = {
            "job": f"{namespace}/{service}" if namespace else service,
            "instance": metric.resource.get("service.instance.id", ""),  # older SDKs send none
        }
        for name, added in series(metric):
            labels = self.metrics.setdefault(name, defaultdict(set))
            for point in metric.points:
                own = {underscored(key): value for key, value in point.attributes.items()}
                _add(labels, {**own, **target, **dict.fromkeys(added, "0.5")})
        others = {key: value for key, value in metric.resource.items() if key not in IDENTIFYING}
        info = {underscored(key): value for key, value in others.items()}
        _add(self.metrics.setdefault("target_info", defaultdict(set)), {**info, **target})

    # -- what a query asks

    def lacks(self, name: Name) -> str:
        """What about a name was not sent, for people; empty where all was."""
        if name.kind == "metric":
            return "" if name.name in self.metrics else f"no metric is named {name.name}"
        if name.kind == "body":
            pattern = name.value if name.operator == "|~" else re.escape(name.value)
            return "" if any(re.search(pattern, body) for body in self.bodies) else f"no line has {name.value!r}"
        if name.kind == "intrinsic":
            known: Values = {"name": self.span_names, "duration": {"1"}, "status": {"error", "unset"}}
            return _lacks(known, name)
        if name.kind == "label" and name.of:
            of_all: dict[str, set[str]] = defaultdict(set)
            for metric in name.of & set(self.metrics):
                for label, values in self.metrics[metric].items():
                    of_all[label] |= values
            return _lacks(of_all, name)
        known_of = {
            "label": self.log_labels,
            "stream label": self.streams,
            "span": self.spans,
            "resource": self.resources,
        }
        return _lacks(known_of[name.kind], name)


def series(metric: Metric) -> list[tuple[str, tuple[str, ...]]]:
    """The series that Prometheus makes of a metric: their names, and the labels they have besides attributes."""
    parts = [part for part in re.split(r"[^A-Za-z0-9:]+", metric.name) if part]
    unit = "" if "{" in metric.unit else UNITS.get(metric.unit, metric.unit)
    if unit and unit not in parts:
        parts.append(unit)
    if metric.kind == "sum":
        parts = [*(part for part in parts if part != "total"), "total"]
    if metric.kind == "gauge" and metric.unit == "1":
        parts = [*(part for part in parts if part != "ratio"), "ratio"]
    name = "_".join(parts)
    if metric.kind == "histogram":
        return [(f"{name}_bucket", ("le",)), (f"{name}_sum", ()), (f"{name}_count", ())]
    return [(name, ())]


def underscored(attribute: str) -> str:
    """An attribute as a label."""
    return re.sub(r"[^A-Za-z0-9_]", "_", attribute)


def _labels(record: LogRecord) -> dict[str, str]:
    """All that a label filter sees of a log record; empty fields become no label."""
    fields = {
        "severity_text": record.severity,
        "severity_number": str(record.severity_number or ""),
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "scope_name": record.scope,
    }
    attributes = {underscored(key): str(value) for key, value in {**record.resource, **record.attributes}.items()}
    return attributes | {label: value for label, value in fields.items() if value}


def _add(to: dict[str, set[str]], attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        to[key].add(str(value))


def _lacks(known: Values, name: Name) -> str:
    if name.name not in known:
        return f"{name.kind} {name.name} is not sent; {', '.join(sorted(known))} are"
    values = known[name.name]
    alike = {
        "=": lambda value: value == name.value,
        "=~": lambda value: re.fullmatch(name.value, value) is not None,
        "!=": lambda value: value != name.value,
        "!~": lambda value: re.fullmatch(name.value, value) is None,
        ">": lambda value: float(value) > float(name.value),
    }
    if not name.operator or any(alike[name.operator](value) for value in values):
        return ""
    return f"no {name.name} is {name.operator} {name.value!r}; {', '.join(sorted(values))} are sent"
