"""`traceparent` as the W3C reads it, and the sampling decision as OpenTelemetry's SDK takes it."""

from __future__ import annotations

import os

import pytest

from inithold.runner.events import Span
from inithold.runner.trace_context import parse_traceparent, run_span

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"00-{TRACE}-{PARENT}-fe", False),
        (f" 00-{TRACE}-{PARENT}-01\t", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", True),
    ],
)
def test_valid(text: str, sampled: bool) -> None:
    assert parse_traceparent(text) == Span(TRACE, PARENT, sampled=sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-further",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01.x",
        f"cc-{TRACE}-{PARENT}-01.x",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0g",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE}-{PARENT}-01\n00-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}\u0661-{PARENT}-01",
    ],
)
def test_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


def test_run_is_child_of_the_caller() -> None:
    span = run_span({"TRACEPARENT": f"00-{TRACE}-{PARENT}-00"})
    assert (span.trace_id, span.parent_id, span.sampled) == (TRACE, PARENT, False)
    assert parse_traceparent(span.traceparent()) == Span(TRACE, span.span_id, sampled=False)


def test_run_without_a_caller_has_a_trace_of_its_own() -> None:
    one, other = run_span({}), run_span({"TRACEPARENT": "nonsense"})
    assert one.trace_id != other.trace_id
    assert one.parent_id == other.parent_id == ""
    assert one.sampled
    assert parse_traceparent(one.traceparent()) is not None


@pytest.mark.parametrize("by_parent", [None, "00", "01"])
@pytest.mark.parametrize("argument", [None, "0", "0.5", "1", "nonsense"])
@pytest.mark.parametrize(
    "sampler",
    [
        None,
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
        "PARENTBASED_ALWAYS_OFF",
        "unheard_of",
    ],
)
def test_decides_as_the_sdk_does(
    sampler: str | None, argument: str | None, by_parent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    for name, value in given.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    if by_parent:
        monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-{by_parent}")
    for _ in range(20):
        span = run_span(os.environ)
        assert span.sampled is _sdk_samples(span.trace_id, by_parent)


def _sdk_samples(trace_id: str, by_parent: str | None) -> bool:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    context = Context()
    if by_parent:
        flags = TraceFlags(int(by_parent, 16))
        caller = SpanContext(int(TRACE, 16), int(PARENT, 16), is_remote=True, trace_flags=flags)
        context = set_span_in_context(NonRecordingSpan(caller), context)
    sampler = TracerProvider(shutdown_on_exit=False).sampler
    return sampler.should_sample(context, int(trace_id, 16), "x").decision.is_sampled()
