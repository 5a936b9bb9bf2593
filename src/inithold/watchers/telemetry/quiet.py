"""Keeps the loggers of the SDK and its clients silent: what they would say, one line of ours says.

It also keeps them from feeding the log queue of user code that exports its log records: an export that fails would
make the next one.
"""

from __future__ import annotations

import logging
from threading import Lock

_LOGGERS = ("opentelemetry", "urllib3", "requests", "grpc")


class Quiet:
    """The silence, for as long as anybody wants it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted = 0
        self._nobody = logging.NullHandler()
        self._before: dict[str, bool] = {}

    def begin(self) -> None:
        """Want silence."""
        with self._lock:
            self._wanted += 1
            if self._wanted > 1:
                return
            for name in _LOGGERS:
                logger = logging.getLogger(name)
                self._before[name] = logger.propagate
                # Without a handler of its own the last resort would print it.
                logger.addHandler(self._nobody)
                logger.propagate = False

    def end(self) -> None:
        """Want it no more."""
        with self._lock:
            self._wanted -= 1
            if self._wanted:
                return
            for name, propagate in self._before.items():
                logger = logging.getLogger(name)
                logger.removeHandler(self._nobody)
                logger.propagate = propagate


QUIET = Quiet()
