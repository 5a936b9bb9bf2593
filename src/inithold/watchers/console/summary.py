"""The end of a run's log: the table, the outcome and, after a failure, what to do next."""

from __future__ import annotations

import sys
import time

import msgspec

from inithold.process.imports import uncollected
from inithold.process.streams import coloured, columns, let_go
from inithold.record.model import Record
from inithold.record.table import failure, headline, table
from inithold.text import platform

LEFT_ALONE = "Only a part of the plan was run: the marker, and what holds, are as they were."


@uncollected()
def print_summary(record: Record) -> None:
    """Print the summary to standard error, which may be closed."""
    values = msgspec.to_builtins(record)
    now = time.time()
    shown = table(values, colour=coloured(sys.stderr), now=now, width=columns(sys.stderr))
    parts = [shown, headline(values, now=now)]
    if failed := failure(values):
        parts.append(failed)
    if record.repair:
        parts.append(LEFT_ALONE)
    elif record.outcome == "failed" and (advice := platform.after_failure()):
        parts.append(advice)
    try:
        print("\n" + "\n\n".join(parts), file=sys.stderr, flush=True)
    except OSError:
        let_go(sys.stderr)
