"""Keeps the record file current: replaced atomically, at most a few times a second.

Each write writes the whole record. For a plan with very many steps that takes long, so it is written less often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from inithold.marker.file import write_whole
from inithold.record.account import Account
from inithold.record.files import rotate
from inithold.runner.events import Event, MarkerPublished, RunFinished, RunStarted

INTERVAL = 0.25
"""Seconds between two writes during a run."""
SHARE = 0.01
"""The largest share of a run's time to spend on writing."""
LONGEST = 5.0
"""Most seconds between two writes, however long one takes."""


class RecordWriter:
    """A watcher that writes the record of an `Account`.

    Args:
        path: path of the record.
        keep: how many earlier records to keep.
        account: builds the record; must get the events before this watcher.
        warn: called once if the record cannot be written.
    """

    def __init__(self, path: str, keep: int, account: Account, warn: Callable[[str], None]) -> None:
        self._path = path
        self._keep = keep
        self._account = account
        self._warn = warn
        self._writing = threading.Lock()
        self._due = threading.Event()
        self._next = 0.0
        self._started = False
        self._over = False
        """Whether the last write was made, or one has failed."""

    def see(self, event: Event) -> None:
        if isinstance(event, RunStarted) and not self._started:
            self._started = True
            try:
                rotate(self._path, self._keep)
            except OSError as error:
                self._over = True
                self._cannot(error)
            threading.Thread(target=self._write_when_due, daemon=True, name="inithold-record").start()
        if isinstance(event, RunStarted | RunFinished | MarkerPublished):
            self._write()
        else:
            self._due.set()

    def close(self) -> None:
        self._write(last=True)
        self._due.set()  # the writing thread ends

    def _write_when_due(self) -> None:
        while self._due.wait() and not self._over:
            if (left := self._next - time.monotonic()) > 0:
                time.sleep(left)
            else:
                self._write()

    def _write(self, *, last: bool = False) -> None:
        # Emitting an event never waits for this lock, so never for the disk.
        with self._writing:
            self._due.clear()
            if self._over or self._account.record is None:
                return
            began = time.monotonic()
            data = msgspec.json.encode(self._account.record) + b"\n"
            error = None
            try:
                # No sync during a run: after a crash of the machine, that record is of no use.
                write_whole(self._path, data, sync=last)
            except OSError as raised:
                error = raised
            self._over = last or error is not None
            ended = time.monotonic()
            self._next = ended + min(max(INTERVAL, (ended - began) / SHARE), LONGEST)
        if error is not None:
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        # Never call this under a lock: the warning goes through the stream, which may be calling this watcher.
        self._warn(f"the record {self._path} cannot be written ({error.strerror}); the run goes on without it")
