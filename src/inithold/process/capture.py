"""Captures what user code prints and logs.

In the run's process a context variable decides what is captured: the code's asyncio tasks and what
`asyncio.to_thread` runs are included; threads that it starts, and all other threads, print and log as before. In a
worker, which runs nothing but one step's code, every thread is captured. Afterwards everything is restored.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, Literal, TextIO

from inithold.redaction.sanitize import Lines

Level = Literal["debug", "info", "warning", "error"]
Say = Callable[[str, Level], None]


class _Sink:
    """Receives the output of one captured call."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lines = Lines()
        self._lock = Lock()

    def say(self, text: str, level: Level) -> None:
        # The callback may print to standard output, which must not be captured again.
        with suspended():
            self._say(text, level)

    def write(self, text: str) -> None:
        with self._lock:
            lines = [*self._lines.feed(text.encode("utf-8", "surrogateescape")), *self._lines.progress_due()]
        for line in lines:
            self.say(line, "info")

    def end(self) -> None:
        for line in self._lines.end():
            self.say(line, "info")


_current: ContextVar[_Sink | None] = ContextVar("inithold_captured")


def _sink() -> _Sink | None:
    """The sink for output of this thread or task; None if it is not captured."""
    return _current.get(_INSTALLATION.everybody)


@contextmanager
def capturing(say: Say, *, every_thread: bool = False) -> Iterator[None]:
    """Within the `with` block, pass what this thread or task prints and logs to `say`.

    Args:
        say: called with text and level.
        every_thread: capture all threads; for a process that does nothing else.
    """
    sink = _Sink(say)
    token = _current.set(sink)
    _INSTALLATION.enter(sink if every_thread else None)
    try:
        yield
    finally:
        _INSTALLATION.leave()
        _current.reset(token)
        sink.end()


@contextmanager
def suspended() -> Iterator[None]:
    """Within the `with` block, do not capture this thread or task."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def take_handlers_over() -> None:
    """Replace logging handlers that print by ones that capture records: once each, with their levels.

    For code that configured logging as for a stand-alone program, such as an `env.py`. Loggers that it disabled
    are enabled again.
    """
    root = logging.getLogger()
    for logger in (root, *logging.Logger.manager.loggerDict.values()):
        if not isinstance(logger, logging.Logger):
            continue
        logger.disabled = False
        for handler in [handler for handler in logger.handlers if _prints(handler)]:
            records = _Records("%(message)s")
            records.setLevel(handler.level)
            logger.addHandler(records)
            logger.removeHandler(handler)
    if not any(isinstance(handler, _Records) for handler in root.handlers):
        root.addHandler(_Records("%(message)s"))


class _Output(io.TextIOBase):
    """Replaces a standard output: captures or passes on."""

    def __init__(self, original: TextIO) -> None:
        super().__init__()
        self.original = original

    def write(self, text: str) -> int:
        if (sink := _sink()) is None:
            return self.original.write(text)
        sink.write(text)
        return len(text)

    def flush(self) -> None:
        # Python flushes this object when it is garbage-collected, perhaps after user code closed the original.
        if not self.original.closed:
            self.original.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return _sink() is None and self.original.isatty()

    def fileno(self) -> int:
        return self.original.fileno()

    @property
    def buffer(self) -> Any:
        return self.original.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.original.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.original.errors


def _prints(handler: logging.Handler) -> bool:
    """Whether its output is already captured as printed output."""
    return isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, _Output)


_SAID = "_said_by_inithold"
_LEVELS: tuple[tuple[int, Level], ...] = (
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)


class _Records(logging.Handler):
    """Captures log records.

    Args:
        form: the format string.
        fallback: handles records that are not captured, if this handler replaces logging's last resort.
    """

    def __init__(self, form: str, fallback: logging.Handler | None = None) -> None:
        super().__init__()
        self._formatter = logging.Formatter(form)
        self._fallback = fallback

    def emit(self, record: logging.LogRecord) -> None:
        if (sink := _sink()) is None:
            if self._fallback is not None and record.levelno >= self._fallback.level:
                self._fallback.handle(record)
            return
        if _SAID in record.__dict__:
            return  # the record was propagated from a child logger, and already captured there
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(map(_prints, logger.handlers)):
                return
            logger = logger.parent if logger.propagate else None
        record.__dict__[_SAID] = True
        try:
            text = self._formatter.format(record)
        except Exception as error:  # noqa: BLE001 - the user's arguments may not fit the user's message
            text = f"{record.name}: {record.msg!r} ({type(error).__name__} as it was formatted)"
        sink.say(text, next((level for least, level in _LEVELS if record.levelno >= least), "debug"))


class _Lowered(int):
    """A log level that is distinguishable from the same number set by the user."""


class _Installation:
    """Replaces standard outputs and hooks into logging while anything is captured.

    If logging is configured, it adds a handler to the root logger. If not, it replaces logging's last resort,
    because `basicConfig` in user code does nothing once the root has a handler.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self.everybody: _Sink | None = None
        self._outputs: dict[str, _Output] = {}
        self._handler = _Records("%(name)s: %(message)s")
        self._last_resort: logging.Handler | None = None
        self._lowered = _Lowered(logging.INFO)

    def enter(self, everybody: _Sink | None) -> None:
        with self._lock:
            self.everybody = everybody or self.everybody
            self._users += 1
            if self._users > 1:
                return
            for name in ("stdout", "stderr"):
                self._outputs[name] = _Output(getattr(sys, name) or io.StringIO())
                setattr(sys, name, self._outputs[name])
            root = logging.getLogger()
            if root.handlers:
                self._handler = _Records("%(name)s: %(message)s")
                root.addHandler(self._handler)
                return
            self._last_resort = logging.lastResort
            logging.lastResort = self._handler = _Records("%(name)s: %(message)s", self._last_resort)
            if root.level == logging.WARNING:
                # The default, WARNING, would drop info records.
                root.setLevel(self._lowered)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self.everybody = None
            for name, output in self._outputs.items():
                if getattr(sys, name) is output:
                    setattr(sys, name, output.original)
            root = logging.getLogger()
            root.removeHandler(self._handler)
            if logging.lastResort is self._handler:
                logging.lastResort = self._last_resort
            if root.level is self._lowered:
                root.setLevel(logging.WARNING)


_INSTALLATION = _Installation()
