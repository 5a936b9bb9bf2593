"""OpenTelemetry for a run: traces, metrics and logs, at no cost before ready.

While the plan runs, events are only kept. OpenTelemetry is imported when ready has been said, or when a step runs
user code in this process, so that the spans of that code belong to the step. Spans get the ids and times they had.

The resource is what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say. Without a service name it is `init`,
and the plan's name is the `service.namespace`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from inithold.runner.events import Level

if TYPE_CHECKING:
    from inithold.watchers.telemetry.watcher import Telemetry as Telemetry  # for annotations elsewhere


def make(
    environ: Mapping[str, str], on_warning: Callable[[str], None], *, least: Level = "info", instance: str = ""
) -> Telemetry | None:
    """Telemetry as the `OTEL_*` variables configure it.

    Args:
        environ: the process's variables; the SDK itself reads `os.environ`.
        on_warning: told what is configured and cannot be used.
        least: the lowest level of log lines that become log records.
        instance: `service.instance.id` where the variables give none; the SDK's own if empty.

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
    return Telemetry(named, on_warning, least, instance)
