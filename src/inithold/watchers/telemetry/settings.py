"""Which signals are exported, how and where to: the standard `OTEL_*` variables, read without the SDK.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. An empty variable counts as unset.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args
from urllib.parse import unquote, urlsplit

from inithold.process import extras
from inithold.redaction.redact import SECRETS
from inithold.runner.events import TelemetrySignal

Protocol = Literal["http/protobuf", "grpc"]
Warn = Callable[[str], None]

_PORTS: Mapping[Protocol, int] = {"http/protobuf": 4318, "grpc": 4317}
_OTLP: Mapping[str, Protocol | None] = {
    "otlp": None,
    "otlp_proto_http": "http/protobuf",
    "otlp_proto_grpc": "grpc",
}
"""The SDK's names of exporters; the last two imply their protocol."""
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_CHOICES: Mapping[str, Sequence[str]] = {
    "OTEL_SDK_DISABLED": ("true", "false"),
    "OTEL_TRACES_SAMPLER": (*_SAMPLERS, *(f"parentbased_{name}" for name in _SAMPLERS)),
    "OTEL_EXPORTER_OTLP_COMPRESSION": ("gzip", "deflate", "none"),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": ("cumulative", "delta", "lowmemory"),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "explicit_bucket_histogram",
        "base2_exponential_bucket_histogram",
    ),
}
"""Variables for which a value that is not known silently means the default."""
_FILES = ("_CERTIFICATE", "_CLIENT_KEY")
"""Ends of the names of variables that name a file."""


class Exporter(NamedTuple):
    """A destination of one signal.

    Attributes:
        signal: the signal.
        protocol: None prints it to standard output (`console`).
        address: the destination for people: without user info, path and query.
        hint: what to try if nothing arrives.
    """

    signal: TelemetrySignal
    protocol: Protocol | None
    address: str
    hint: str = ""

    @property
    def extra(self) -> str:
        """The extra of inithold that it needs."""
        return "otel-grpc" if self.protocol == "grpc" else "otel"


def exporters(environ: Mapping[str, str], warn: Warn) -> tuple[Exporter, ...]:
    """Read which signals to export.

    A signal is exported if `OTEL_<SIGNAL>_EXPORTER` says so or, without that, if `OTEL_EXPORTER_OTLP_ENDPOINT` or
    the signal's own endpoint is set. The specification's default, sending to localhost, is usually not wanted.

    Args:
        environ: the variables.
        warn: called with a message about each setting that cannot be used.

    Returns:
        the exporters that are configured and installed.
    """
    environ = {name: value.strip() for name, value in environ.items() if value.strip()}
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ()
    # A setting for all signals that cannot be used is one warning.
    warnings: dict[str, None] = {}
    all_exporters = [
        each for signal in get_args(TelemetrySignal) for each in _of_signal(environ, signal, warnings.setdefault)
    ]
    grpc = any(exporter.protocol == "grpc" for exporter in all_exporters)
    for text in (*warnings, *(_ignored(environ, grpc=grpc) if all_exporters else ())):
        warn(text)
    usable = [exporter for exporter in all_exporters if extras.installed(exporter.extra)]
    if missing := [exporter for exporter in all_exporters if exporter not in usable]:
        lost = listed(list(dict.fromkeys(exporter.signal for exporter in missing)))
        command = extras.pip_command({exporter.extra for exporter in missing})
        warn(f"OpenTelemetry is configured and not installed, {lost} are not sent: {command}")
    return tuple(usable)


def _ignored(environ: Mapping[str, str], *, grpc: bool) -> Iterator[str]:
    """Warnings about values for which exporters may use a default without a word."""
    for name, choices in _CHOICES.items():
        value = environ.get(name, choices[0])
        if value.lower() not in choices:
            yield f"{name}: {value} is not supported; {listed(choices)} are"
    for name in ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_TRACES_SAMPLER_ARG"):
        try:
            float(environ.get(name, "1"))
        except ValueError:
            yield f"{name}: {environ[name]} is not a number"
    for name in ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS"):
        if any(part.strip() and "=" not in part for part in environ.get(name, "").split(",")):
            # Without the value, which may be a credential.
            yield f"{name}: a part without = is ignored; it is a list such as name=value,name=value"
    for name, path in environ.items():
        # Over HTTP, the failure names the file.
        if grpc and name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith(_FILES):
            try:
                os.close(os.open(path, os.O_RDONLY))
            except OSError as error:
                yield f"{name}: {path}: {(error.strerror or str(error)).lower()}"


def _of_signal(
    environ: Mapping[str, str], signal: TelemetrySignal, warn: Callable[[str], object]
) -> Iterator[Exporter]:
    def either(name: str) -> str:
        own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
        return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")

    variable = f"OTEL_{signal.upper()}_EXPORTER"
    endpoint = either("ENDPOINT")
    names = environ.get(variable, "otlp" if endpoint else "none").lower()
    for name in dict.fromkeys(name.strip() for name in names.split(",")):
        if name == "console":
            yield Exporter(signal, None, "standard output")
        elif name in _OTLP:
            protocol: Protocol = _OTLP[name] or ("grpc" if either("PROTOCOL") == "grpc" else "http/protobuf")
            if not _OTLP[name] and either("PROTOCOL") not in ("", *_PORTS):
                text = "the OTLP protocol {} is not supported, http/protobuf is used; grpc is the other one"
                warn(text.format(either("PROTOCOL")))
            # The most common mistake is to use port 4317, gRPC's by convention, without setting the protocol.
            hints = [
                f"port {port} is usually {other}: set OTEL_EXPORTER_OTLP_PROTOCOL={other}"
                for other, port in _PORTS.items()
                if other != protocol and endpoint.rstrip("/").endswith(f":{port}")
            ]
            yield Exporter(signal, protocol, _address(endpoint, protocol), "".join(hints))
        elif name != "none":
            warn(f"{variable}: {name} is not supported; otlp, console and none are")


def _address(endpoint: str, protocol: Protocol) -> str:
    if not endpoint:
        return f"http://localhost:{_PORTS[protocol]}"
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        return "the endpoint given"
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme + '://' if parts.scheme else ''}{name}{f':{port}' if port else ''}"


def learn_secrets(environ: Mapping[str, str]) -> None:
    """Register the credentials in headers and endpoints as secrets: a collector's response may repeat them."""
    for name, value in environ.items():
        if not name.startswith("OTEL_EXPORTER_OTLP_"):
            continue
        if name.endswith("HEADERS"):
            for pair in value.split(","):
                # Whatever the header's name, its value is probably a credential.
                header = unquote(pair.partition("=")[2]).strip()
                SECRETS.add(header)
                SECRETS.add_headers({"Authorization": header})
        elif name.endswith("ENDPOINT"):
            SECRETS.add_url(value)


def listed(names: Sequence[str]) -> str:
    """`traces`, `traces and logs`, `traces, metrics and logs`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
