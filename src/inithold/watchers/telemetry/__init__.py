"""OpenTelemetry for a run: traces, metrics and logs, sent by a separate process.

The run itself does not import OpenTelemetry. A watcher (`watcher`) writes events to the sender's pipe. The sender
(`sender`) collects them; when the run is over, it converts them to spans, metrics and log records with the SDK,
and passes these to the SDK's exporters. So no collector can delay a run.

The resource comes from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. If no service name is set, it is
`init`, and `service.namespace` is the plan's name.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""`typing` is slow to import, and the sender imports this module, too."""
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inithold.runner.events import Level
    from inithold.watchers.telemetry.watcher import Telemetry as Telemetry  # for annotations elsewhere


def make(
    environ: Mapping[str, str],
    on_warning: Callable[[str], None],
    *,
    level: Level = "info",
    log_format: str = "auto",
    holder: int | None = None,
) -> Telemetry | None:
    """Telemetry as the `OTEL_*` variables configure it.

    Args:
        environ: the process's variables; the sender reads `os.environ`.
        on_warning: called with each setting that cannot be used.
        level: the lowest level of log lines that become log records.
        log_format: the sender's own log format, as for `console`.
        holder: pid of the process that holds, or will; None for this one. The run and its checks are one service
            instance, and the sender ends with this process.

    Returns:
        None if nothing is configured, or the configured exporters are not installed.
    """
    if not any(name.startswith("OTEL_") and name.endswith(("_EXPORTER", "ENDPOINT")) for name in environ):
        return None
    from inithold.watchers.telemetry.settings import exporters, learn_secrets  # noqa: PLC0415 - seldom needed
    from inithold.watchers.telemetry.watcher import Telemetry  # noqa: PLC0415 - seldom needed

    named = exporters(environ, on_warning)
    if not named:
        return None
    learn_secrets(environ)
    signals = frozenset(exporter.signal for exporter in named)
    return Telemetry(signals, level=level, log_format=log_format, holder=holder)
