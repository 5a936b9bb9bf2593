"""The threads that run steps. They are daemons, so that code that does not stop cannot keep the process alive."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

MOST = 256
"""Threads at most; further steps wait for a free one."""


class Threads:
    """A pool that grows only when no thread is idle."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = Lock()
        self._idle = 0
        self._threads = 0

    def start(self, task: Callable[[], None]) -> None:
        """Run `task` in a thread; it must not raise."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < MOST:
                self._threads += 1
                Thread(target=self._work, daemon=True, name=f"inithold-{self._threads}").start()
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            self._tasks.get()()
            with self._lock:
                self._idle += 1
