"""Keeps the record file current: whole at every moment, written at most a few times a second.

Each write is the whole record, which for a plan of very many steps takes long: then it is written less often.
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
"""Seconds between two writes while a run goes on."""
SHARE = 0.05
"""How much of the time of a run writing may take."""
LONGEST = 5.0
"""Seconds between two writes, however long one takes."""


class RecordWriter:
    """A watcher that writes what an `Account` says.

    Args:
        path: of the record.
        keep: how many earlier records to keep.
        account: what to write; it sees the events before this watcher.
        warn: told once if the record cannot be written.
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
                # A write that was under way has taken long.
                self._wait()
                return
        self._write()

    def _write(self, *, sync: bool = False) -> None:
        # Whoever says something waits for the other lock alone, and never for a disk.
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
                # What a run that still goes on has written is of no use after a crash of the machine.
                write_whole(self._path, data, sync=sync)
            except OSError as raised:
                self._broken, error = True, raised
            ended = time.monotonic()
            self._next = ended + min(max(INTERVAL, (ended - began) / SHARE), LONGEST)
        if error is not None:
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        # Never under the lock: a warning goes through the stream, which may be telling this watcher something.
        self._warn(f"the record {self._path} cannot be written ({error.strerror}); the run goes on without it")
