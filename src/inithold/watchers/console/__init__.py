"""Chooses the console output: a live table, plain lines or JSON lines; `summary` prints the end of a run."""

from __future__ import annotations

import sys

from inithold.process.streams import let_go, redrawable
from inithold.record.account import Account
from inithold.runner.events import Event, Level
from inithold.runner.stream import Watcher


class Forgiving:
    """Wraps a watcher that writes to standard error, so that a failed write does not end the run."""

    def __init__(self, writer: Watcher) -> None:
        self._writer = writer

    def see(self, event: Event) -> None:
        try:
            self._writer.see(event)
        except OSError:
            let_go(sys.stderr)

    def close(self) -> None:
        try:
            self._writer.close()
        except OSError:
            let_go(sys.stderr)


def console(log_format: str, level: Level, *, account: Account | None = None, width: int = 4) -> Watcher:
    """The watcher for standard error.

    Args:
        log_format: `auto`, `plain` or `json`.
        level: the lowest level to show.
        account: the data for a live table, which `auto` chooses at a terminal; None for no table.
        width: width of the id column in plain lines until a run starts.
    """
    if log_format == "auto" and account is not None and sys.stderr.isatty() and redrawable():
        from inithold.watchers.console.live import LiveTable  # noqa: PLC0415 - slow to import

        return Forgiving(LiveTable(account, level))
    from inithold.watchers.console.log import JsonLines, PlainLog  # noqa: PLC0415 - not needed with the table

    return Forgiving(JsonLines(level=level) if log_format == "json" else PlainLog(level=level, width=width))
