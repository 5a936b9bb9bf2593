"""OpenTelemetry for a run: its traces, metrics and logs, sent by a process of its own.

The run itself imports nothing of OpenTelemetry. A watcher (`watcher`) writes the events it sees to the pipe of the
sender (`sender`), which keeps them and, when the run is over, makes spans, metrics and log records of them with
the SDK and hands these to the SDK's exporters. So no collector delays a run.

The resource is what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say. Without a service name it is `init`,
and the plan's name is the `service.namespace`.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""As in `typing`, which is slow to import: the sender imports this, too."""
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
        on_warning: told what is configured and cannot be used.
        level: the least of log lines that become log records.
        log_format: how the sender writes to the log, as `console` takes it.
        holder: the process that holds, or will; this one if None. What it and its checks send is of one instance
            of the service, and the sender ends when it ends.

    Returns:
        None where nothing is configured, or nothing that is installed.
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
