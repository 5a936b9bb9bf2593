"""OpenTelemetry for a run: traces, metrics and logs, sent by a separate process.

The run itself does not import OpenTelemetry. A watcher (`watcher`) writes events to the sender's pipe. The sender
(`sender`) collects them; when the run is over, it converts them to spans, metrics and log records with the SDK,
and passes these to the SDK's exporters (`delivery`). So no collector can delay a run. The sender is started once
the run has lasted a second, or when it is over: starting another interpreter would delay quick steps.

A hold's check is a process of its own anyway: it sends what it has to tell itself, last of all, which takes half
as long as another process.

The resource comes from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. If no service name is set, it is
`init`, and `service.namespace` is the plan's name.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""`typing` is slow to import, and the sender imports this module, too."""
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inithold.runner.events import Level, TelemetrySignal
    from inithold.watchers.telemetry.watcher import CheckTelemetry as CheckTelemetry  # for annotations elsewhere
    from inithold.watchers.telemetry.watcher import Telemetry as Telemetry  # as above


def make(
    environ: Mapping[str, str],
    on_warning: Callable[[str], None],
    *,
    level: Level = "info",
    log_format: str = "auto",
    holder: int | None = None,
) -> Telemetry | None:
    """Telemetry of a run, as the `OTEL_*` variables configure it.

    Args:
        environ: the process's variables; the sender reads `os.environ`.
        on_warning: called with each setting that cannot be used.
        level: of the console; only `debug` makes debug lines log records, too.
        log_format: the sender's own log format, as for `console`.
        holder: pid of the process that holds, or will; None for this one. The run and its checks are one service
            instance, and the sender ends with this process.

    Returns:
        None if nothing is configured, or the configured exporters are not installed.
    """
    signals = _signals(environ, on_warning)
    if not signals:
        return None
    from inithold.watchers.telemetry.watcher import Telemetry  # noqa: PLC0415 - many environments have none

    return Telemetry(signals, level=level, log_format=log_format, holder=holder)


def of_check(environ: Mapping[str, str], *, level: Level, holder: int) -> CheckTelemetry | None:
    """Telemetry of a hold's check; arguments and result as for `make`. The run has warned about bad settings."""
    if not _signals(environ, lambda _: None):
        return None
    from inithold.watchers.telemetry.watcher import CheckTelemetry  # noqa: PLC0415 - as above

    return CheckTelemetry(level=level, holder=holder)


def _signals(environ: Mapping[str, str], on_warning: Callable[[str], None]) -> frozenset[TelemetrySignal]:
    if not any(name.startswith("OTEL_") and name.endswith(("_EXPORTER", "ENDPOINT")) for name in environ):
        return frozenset()
    from inithold.watchers.telemetry.settings import exporters, learn_secrets  # noqa: PLC0415 - as above

    learn_secrets(environ)
    return frozenset(exporter.signal for exporter in exporters(environ, on_warning))
