"""Which `OTEL_*` variables make what be sent where."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.process import extras
from inithold.redaction.redact import scrub
from inithold.watchers.telemetry import make
from inithold.watchers.telemetry.settings import Exporter, exporters, learn_secrets

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def read(**environ: str) -> tuple[list[tuple[str, str | None, str]], list[str]]:
    """What is exported as (signal, protocol, address), and what was warned of."""
    warnings: list[str] = []
    found = exporters(environ, warnings.append)
    return [(exporter.signal, exporter.protocol, exporter.address) for exporter in found], warnings


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: ""},
        {"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"},
        {
            ENDPOINT: "http://c:4318",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "None",
            "OTEL_LOGS_EXPORTER": "none",
        },
    ],
)
def test_nothing_to_send(environ: dict[str, str]) -> None:
    warnings: list[str] = []
    assert make(environ, warnings.append) is None
    assert warnings == []


def test_general_endpoint_is_for_all_signals() -> None:
    assert read(**{ENDPOINT: "http://collector:4318"}) == (
        [(signal, "http/protobuf", "http://collector:4318") for signal in ("traces", "metrics", "logs")],
        [],
    )


def test_an_endpoint_of_one_signal_is_for_that_one() -> None:
    assert read(OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://c:4318/v1/logs")[0] == [
        ("logs", "http/protobuf", "http://c:4318")
    ]


def test_signals_may_go_different_ways() -> None:
    found, warnings = read(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4317",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="https://m/v1/metrics",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
        OTEL_LOGS_EXPORTER=" console , otlp,console",
    )
    assert warnings == []
    assert found == [
        ("traces", "grpc", "http://c:4317"),
        ("metrics", "http/protobuf", "https://m"),
        ("logs", None, "standard output"),
        ("logs", "grpc", "http://c:4317"),
    ]


@pytest.mark.parametrize(
    ("name", "protocol", "address"),
    [
        ("otlp", "http/protobuf", "http://localhost:4318"),
        ("otlp_proto_grpc", "grpc", "http://localhost:4317"),
        ("otlp_proto_http", "http/protobuf", "http://localhost:4318"),
    ],
)
def test_an_exporter_named_without_an_endpoint_sends_to_localhost(name: str, protocol: str, address: str) -> None:
    assert read(OTEL_TRACES_EXPORTER=name) == ([("traces", protocol, address)], [])


def test_an_unknown_exporter_is_a_warning() -> None:
    found, warnings = read(OTEL_TRACES_EXPORTER="zipkin,console")
    assert found == [("traces", None, "standard output")]
    assert warnings == ["OTEL_TRACES_EXPORTER: zipkin is not supported; otlp, console and none are"]


def test_an_unknown_protocol_is_a_warning() -> None:
    found, warnings = read(OTEL_EXPORTER_OTLP_ENDPOINT="http://c", OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
    assert {protocol for _, protocol, _ in found} == {"http/protobuf"}
    said = "the OTLP protocol http/json is not supported, http/protobuf is used; grpc is the other one"
    assert warnings == [said]


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        ("OTEL_SDK_DISABLED", "yes", "yes is not supported; true and false are"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "brotli is not supported; gzip, deflate and none are"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "10s is not a number"),
        ("OTEL_TRACES_SAMPLER_ARG", "half", "half is not a number"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "deltas",
            "deltas is not supported; cumulative, delta and lowmemory are",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=b,authorization Bearer not-for-logs",
            "a part without = is ignored; it is a list such as name=value,name=value",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team: blue",
            "a part without = is ignored; it is a list such as name=value,name=value",
        ),
    ],
)
def test_a_value_for_which_a_default_is_used_is_a_warning(name: str, value: str, warning: str) -> None:
    found, warnings = read(**{ENDPOINT: "http://c:4318", name: value})
    assert len(found) == 3
    assert warnings == [f"{name}: {warning}"]


def test_a_missing_certificate_is_a_warning_over_grpc(tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.touch()
    variables = {
        ENDPOINT: "https://c:4317",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(there),
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "/missing.pem",
    }
    _, warnings = read(**variables, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert warnings == ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: /missing.pem: no such file or directory"]
    assert read(**variables)[1] == []


def test_right_values_are_no_warnings() -> None:
    _, warnings = read(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318",
        OTEL_SDK_DISABLED="False",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.25",
        OTEL_EXPORTER_OTLP_TIMEOUT="10000",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_HEADERS="a=b,c=d=,",
        OTEL_RESOURCE_ATTRIBUTES="a=b%2Cc, d=",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="LowMemory",
        OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram",
    )
    assert warnings == []


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://user:hunter22@c.example:443/x?token=abcdefgh", "https://c.example:443"),
        ("collector:4317", "collector:4317"),
        ("http://[::1]:4318", "http://[::1]:4318"),
        ("http://c:port", "the endpoint given"),
    ],
)
def test_addresses_are_shown_without_credentials(endpoint: str, address: str) -> None:
    assert {exporter[2] for exporter in read(**{ENDPOINT: endpoint})[0]} == {address}


@pytest.mark.parametrize(
    ("endpoint", "protocol", "other"),
    [
        ("http://c:4317", "", "grpc"),
        ("http://c:4318/", "grpc", "http/protobuf"),
        ("http://c:4318", "", ""),
        ("http://c:4317", "grpc", ""),
    ],
)
def test_the_other_protocols_port_is_hinted_at(endpoint: str, protocol: str, other: str) -> None:
    environ = {ENDPOINT: endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    port = endpoint.rstrip("/")[-4:]
    hint = f"port {port} is usually {other}: set OTEL_EXPORTER_OTLP_PROTOCOL={other}" if other else ""
    assert {exporter.hint for exporter in exporters(environ, pytest.fail)} == {hint}


@pytest.mark.parametrize(
    ("missing", "protocol", "warning"),
    [
        ("otel", "", "traces, metrics and logs are not sent: pip install 'inithold[otel]'"),
        ("otel-grpc", "grpc", "traces, metrics and logs are not sent: pip install 'inithold[otel-grpc]'"),
    ],
)
def test_a_missing_extra_is_one_warning(
    missing: str, protocol: str, warning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "installed", lambda extra: extra != missing)
    warnings: list[str] = []
    environ = {ENDPOINT: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    assert make(environ, warnings.append) is None
    assert warnings == [f"OpenTelemetry is configured and not installed, {warning}"]


def test_what_is_installed_is_used_where_a_part_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda extra: extra == "otel")
    found, warnings = read(OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318", OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc")
    assert [exporter[0] for exporter in found] == ["traces", "logs"]
    assert warnings == [
        "OpenTelemetry is configured and not installed, metrics are not sent: pip install 'inithold[otel-grpc]'"
    ]


def test_exporters_know_their_extra() -> None:
    assert Exporter("logs", "grpc", "").extra == "otel-grpc"
    assert Exporter("logs", "http/protobuf", "").extra == "otel"
    assert Exporter("logs", None, "").extra == "otel"


def test_credentials_of_headers_and_endpoints_are_learned() -> None:
    learn_secrets(
        {
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20dGVsZW1ldHJ5LWE=, x-team=telemetry-b",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "api-key=telemetry-c",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:telemetry-d@collector",
        }
    )
    text = "no dGVsZW1ldHJ5LWE= nor telemetry-b, telemetry-c, telemetry-d"
    assert scrub(text) == "no *** nor ***, ***, ***"
