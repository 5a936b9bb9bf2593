"""Who watches a run: the record, people, and telemetry where it is configured."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from inithold.lifecycle.settings import Settings
from inithold.plan.model import CheckedPlan
from inithold.record.account import Account
from inithold.runner.events import Level
from inithold.runner.stream import Watcher
from inithold.watchers.console import console
from inithold.watchers.record import RecordWriter

if TYPE_CHECKING:
    from inithold.watchers.telemetry import Telemetry

Warn = Callable[[str], None]


def watchers(plan: CheckedPlan, settings: Settings, account: Account, record: str, warn: Warn) -> list[Watcher]:
    """The watchers of a run, in the order in which they are told.

    Args:
        plan: that runs.
        settings: how.
        account: what is written and drawn.
        record: path of the record.
        warn: told what cannot be written.
    """
    writer = RecordWriter(record, settings.keep, account, warn)
    drawn = None if any(planned.step.takes_terminal for planned in plan.steps) else account
    return [account, writer, console(settings.log_format, settings.log_level, account=drawn)]


def telemetry(settings: Settings, warn: Warn, *, holder: int) -> Telemetry | None:
    """Telemetry as the `OTEL_*` variables configure it; None where they do not.

    Args:
        settings: whose level says which log lines become log records.
        warn: told what is configured and cannot be used.
        holder: process that holds, or will: what it and its checks send is of one instance of the service.
    """
    if not any(name.startswith("OTEL_") for name in os.environ):
        return None
    from inithold.watchers.telemetry import make  # noqa: PLC0415 - many environments have none

    level: Level = "debug" if settings.log_level == "debug" else "info"
    return make(os.environ, warn, level=level, log_format=settings.log_format, holder=holder)
