"""The live table for terminals, with spinners and a progress bar; log lines scroll above it."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from inithold.record.account import Account
from inithold.record.model import Record
from inithold.record.table import of_interest
from inithold.runner.events import (
    Event,
    HoldStarted,
    Level,
    LogLine,
    MarkerPublished,
    RunFinished,
    RunStarted,
    StepChecked,
)
from inithold.steps.base import Change
from inithold.text.duration import spoken
from inithold.watchers.console.log import LEVELS

MARKS = {
    "pending": ("·", "dim"),
    "waiting": ("", "cyan"),
    "checking": ("", "cyan"),
    "applying": ("", "cyan"),
    "unchanged": ("✓", "green"),
    "changed": ("●", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
    "cancelled": ("-", "magenta"),
}
"""The mark of a state, empty for a spinner, and its style."""
OP_STYLES = {"+": "green", "~": "yellow", "!": "red", "?": "blue"}
ROWS = 30
"""Most steps shown during the run; finished ones are dropped first."""
_BELOW = 3
"""Terminal lines needed besides the steps: `and N more`, the bar, the cursor."""


class LiveTable:
    """A watcher that draws the record of an `Account`.

    Args:
        account: builds the record; must get the events before this watcher.
        level: the lowest level of log lines to show.
    """

    def __init__(self, account: Account, level: Level = "info") -> None:
        self._account = account
        self._least = LEVELS[level]
        self._console = Console(stderr=True, highlight=False)
        self._listed: dict[str, tuple[Change, ...]] = {}
        self._live: Live | None = None
        self._spinner = Spinner("dots", style="cyan")

    def see(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._listed.clear()
                if self._live is None:
                    if event.reason:
                        self._print(Text(f"again: {event.reason}", style="yellow"))
                    self._live = Live(
                        get_renderable=self._render, console=self._console, refresh_per_second=10, transient=True
                    )
                    self._live.start()
            case LogLine() if LEVELS[event.level] >= self._least:
                style = {"warning": "yellow", "error": "red"}.get(event.level, "")
                who = (f"{event.step}  ", "bold") if event.step else ("", "")
                self._print(Text.assemble(who, (event.text, style or "dim" if event.step else style)))
            case StepChecked() if self._listed.get(event.step) != event.changes:
                self._listed[event.step] = event.changes
                for change in event.changes:
                    what = (f"{change.op} {change.what}", OP_STYLES[change.op])
                    self._print(Text.assemble((f"{event.step}  ", "bold"), what))
                    for detail in change.details:
                        self._print(Text(f"{' ' * len(event.step)}      {detail}", "dim"))
            case RunFinished():
                self.close()
            case MarkerPublished():
                self._console.print(Text.assemble(("ready", "bold green"), f"; marker {event.path}"))
            case HoldStarted():
                self._console.print(Text(f"{event}; Ctrl-C ends it", style="dim"))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        record = self._account.record
        if record is None:
            return Text("")
        done = sum(step.ended is not None for step in record.steps)
        bar = ProgressBar(
            total=max(1, len(record.steps)),
            completed=done,
            width=30,
            complete_style="cyan",  # the default is red, which here means failed
            finished_style="green",
        )
        foot = Table.grid(padding=(0, 1))
        foot.add_row(bar, f"{done}/{len(record.steps)}", Text(spoken(time.time() - record.started), style="dim"))
        return Group(self._table(record), foot)

    def _table(self, record: Record) -> Table:
        grid = Table.grid(padding=(0, 2))
        now = time.time()
        room = max(1, min(ROWS, self._console.size.height - _BELOW - bool(record.lock_waiting_for)))
        shown = of_interest(record.steps, room, lambda step: step.state)
        for step in shown:
            mark, style = MARKS[step.state]
            grid.add_row(
                Text(mark, style) if mark else self._spinner,
                Text(step.id),
                Text(step.state, style),
                f"attempt {step.attempts}" if step.attempts > 1 else "",
                "" if step.started is None else spoken((step.ended or now) - step.started),
                Text(step.waiting_for or step.reason or step.target, "dim", overflow="ellipsis", no_wrap=True),
            )
        if record.lock_waiting_for:
            grid.add_row(
                self._spinner, Text("lock"), Text("waiting", "cyan"), "", "", Text(record.lock_waiting_for, "dim")
            )
        if more := len(record.steps) - len(shown):
            grid.add_row("", Text(f"and {more} more", "dim"))
        return grid
