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
SHARE = 0.05
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
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._pending: threading.Timer | None = None
        self._next = 0.0
        self._broken = False
        self._rotated = False

    def see(self, event: Event) -> None:
        if isinstance(event, RunStarted) and not self._rotated:
            self._rotated = True
            try:
                rotate(self._path, self._keep)
            except OSError as error:
                self._broken = True
                self._cannot(error)
        if isinstance(event, RunStarted | RunFinished | MarkerPublished):
            self._write()
            return
        with self._lock:
            if self._pending is None and not self._broken and self._account.record is not None:
                self._wait()

    def close(self) -> None:
        self._write(sync=True)

    def _wait(self) -> None:
        self._pending = threading.Timer(max(0.0, self._next - time.monotonic()), self._when_due)
        self._pending.daemon = True
        self._pending.start()

    def _when_due(self) -> None:
        with self._lock:
            if self._next > time.monotonic():
                # A slow write has meanwhile postponed the next one.
                self._wait()
                return
        self._write()

    def _write(self, *, sync: bool = False) -> None:
        # Only `_writing` is held during the write: emitting an event never waits for the disk.
        with self._writing:
            began = time.monotonic()
            with self._lock:
                if self._pending is not None:
                    self._pending.cancel()
                    self._pending = None
                if self._broken or self._account.record is None:
                    return
                self._next = began + INTERVAL
            data = msgspec.json.encode(self._account.record) + b"\n"
            error = None
            try:
                # No sync during a run: after a crash of the machine, that record is of no use.
                write_whole(self._path, data, sync=sync)
            except OSError as raised:
                self._broken, error = True, raised
            ended = time.monotonic()
            self._next = ended + min(max(INTERVAL, (ended - began) / SHARE), LONGEST)
        if error is not None:
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        # Never call this under a lock: the warning goes through the stream, which may be calling this watcher.
        self._warn(f"the record {self._path} cannot be written ({error.strerror}); the run goes on without it")
