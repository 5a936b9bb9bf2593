"""W3C Trace Context: the trace a run belongs to, found without importing OpenTelemetry.

The formats are those of https://www.w3.org/TR/trace-context/ and, for the samplers, of
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from inithold.runner.events import Span

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.S)
_SAMPLED = 0x01
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_RATIO_BITS = 64
"""The ratio sampler uses the low 64 bits of the trace id, as OpenTelemetry's Python SDK does."""


def parse_traceparent(text: str) -> Span | None:
    """The caller's span, from a value such as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.

    Returns:
        the span; None for a value that the specification says to ignore: wrong lengths, upper-case digits, ids
        of zeros, version `ff`, more than four fields in version `00`. Higher versions may have more fields.
    """
    match = _TRACEPARENT.fullmatch(text.strip(" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, further = match.groups()
    if version == "ff" or (version == "00" and further):
        return None
    if set(trace_id) == {"0"} or set(span_id) == {"0"}:
        return None
    return Span(trace_id, span_id, sampled=bool(int(flags, 16) & _SAMPLED))


def run_span(environ: Mapping[str, str]) -> Span:
    """Make the run's span: a child of `TRACEPARENT` in `environ`, or the root of a new trace.

    `OTEL_TRACES_SAMPLER` decides here whether it is sampled, so that the steps' commands and the collector agree.
    """
    parent = parse_traceparent(environ.get("TRACEPARENT", ""))
    span = parent.child() if parent else Span.root()
    sampled = _sampled(environ, span.trace_id, parent.sampled if parent else None)
    return msgspec.structs.replace(span, sampled=sampled)


def _sampled(environ: Mapping[str, str], trace_id: str, by_parent: bool | None) -> bool:
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    own = name.removeprefix("parentbased_")
    if own not in _SAMPLERS:
        name, own = "parentbased_always_on", "always_on"
    if own != name and by_parent is not None:
        return by_parent
    if own == "always_off":
        return False
    if own == "traceidratio":
        try:
            ratio = min(1.0, max(0.0, float(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))))
        except ValueError:
            ratio = 1.0
        return int(trace_id, 16) & ((1 << _RATIO_BITS) - 1) < round(ratio * (1 << _RATIO_BITS))
    return True
