"""Reads records for the report: complete, of a known version, with valid times."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from inithold.errors import InitholdError
from inithold.record.model import VERSION, Record
from inithold.text.files import read_regular

STANDARD_INPUT = "-"
_LATEST = 253_370_764_800.0
"""Start of the year 9999; `datetime` cannot represent much later times."""


class Run(msgspec.Struct, frozen=True):
    """A record that was read.

    Args:
        record: the record.
        plain: the same as parsed JSON, for `inithold.record.table`.
        as_of: the last time at which a run that has not ended is known to have run, Unix time in seconds.
    """

    record: Record
    plain: dict[str, Any]
    as_of: float

    @property
    def ended(self) -> float:
        """When it ended; for a run that goes on, `as_of`."""
        return self.record.ended if self.record.ended is not None else self.as_of

    @property
    def took(self) -> float:
        """Seconds from its start to its end."""
        return max(0.0, self.ended - self.record.started)


def read_all(paths: Sequence[str]) -> list[Run]:
    """Read records, oldest first.

    Args:
        paths: files with a record, or a list of records from `status --all --json`; `-` is standard input.

    Raises:
        InitholdError: a file cannot be read, or is not a record.
    """
    runs = [run for path in paths for run in _read(path)]
    return sorted(runs, key=lambda run: run.record.started)


def _read(path: str) -> Iterator[Run]:
    shown, written = path, None
    try:
        if path == STANDARD_INPUT:
            shown, data = "standard input", sys.stdin.buffer.read()
        else:
            # /dev/fd/N is a pipe that a shell's `<(...)` writes to, so reading it will end.
            data = Path(path).read_bytes() if path.startswith("/dev/fd/") else read_regular(path)
            written = Path(path).stat().st_mtime
        documents = msgspec.json.decode(data)
    except FileNotFoundError:
        raise InitholdError(
            f"there is no record at {path}", hint="inithold run writes one; --record or RECORD says where it is"
        ) from None
    except OSError as error:
        raise InitholdError(f"the record {path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InitholdError(f"{shown} is not an inithold record: {error}") from None
    for document in documents if isinstance(documents, list) else [documents]:
        yield _run(document, shown, written)


def _run(document: Any, shown: str, written: float | None) -> Run:
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise InitholdError(
            f"{shown} is a record of version {version}, and this inithold reads up to version {VERSION}",
            hint="use the inithold that wrote it, or a newer one",
        )
    try:
        record = msgspec.convert(document, Record)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InitholdError(f"{shown} is not an inithold record: {error}") from None
    times = [record.started, record.ended]
    for step in record.steps:
        times += [step.started, step.ended]
        times += [each.at for each in step.failures] + [each.at for each in step.phases]
    moments = [moment for moment in times if moment is not None]
    if not all(0 <= moment < _LATEST for moment in moments):
        raise InitholdError(f"{shown} is not an inithold record: it has an invalid time")
    return Run(record, msgspec.to_builtins(record), max([*moments, written or 0.0]))


def clock(moment: float) -> str:
    """A time in the local time zone, with its offset: `2026-01-31 17:04:05 +01:00`."""
    local = datetime.fromtimestamp(moment).astimezone()
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"
