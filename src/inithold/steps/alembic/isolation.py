"""One at a time; and what env.py does to logging, printing and sys.path stays inside.

Alembic's context is global, so no two steps use it at once. An env.py is written for a process of its own: the
usual one configures logging anew, which silences every logger there is and closes their handlers.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any, NamedTuple

from inithold.steps.base import StepContext

Say = Callable[[str, int], None]
"""Takes a line for the step's log and its level, as `logging` counts."""

_TURN = Lock()
_POLL = 0.02
_SAID = "_said_by_inithold"
_CHANNELS = ("alembic", "sqlalchemy")
"""The loggers whose lines go to the step's log and nowhere else meanwhile."""


@contextmanager
def isolated(context: StepContext, say: Say) -> Iterator[Logs]:
    """Wait for our turn with Alembic, then keep what happens inside from the rest of the process.

    Raises:
        Interrupted: the step was told to stop while it waited.
    """
    while not _TURN.acquire(timeout=_POLL):
        context.check_cancelled()
    paths = list(sys.path)
    logs = Logs(say)
    try:
        logs.begin()
        with _printing(say), context.user_code():
            yield logs
    finally:
        logs.end()
        sys.path[:] = paths
        _TURN.release()


class _Before(NamedTuple):
    level: int
    propagate: bool
    disabled: bool
    handlers: tuple[logging.Handler, ...]


class Logs:
    """Brings Alembic's lines, and what env.py's own configuration would show, to the step's log."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._before: dict[str, _Before] = {}
        self._forward = _Forward(say)
        self._of_root = _Forward(say)
        self._handlers: list[Any] = []

    def begin(self) -> None:
        """Remember how logging is, and listen."""
        for name in _CHANNELS:
            logging.getLogger(name)
        self._before = {logger.name: _state(logger) for logger in _loggers()}
        # logging.config closes every handler of this list, also those of others.
        known = _known_handlers()
        self._handlers = known[:]
        known.clear()
        self.listen()

    def listen(self) -> None:
        """Undo what a configuration of logging has done to others since `begin`, and listen on."""
        for logger in _loggers():
            if logger.name in _CHANNELS:
                self._take_over(logger)
            else:
                self._restore(logger)

    def end(self) -> None:
        """Put logging back to how it was."""
        for logger in _loggers():
            if (before := self._before.get(logger.name)) is not None:
                _set_level(logger, before.level)
                logger.propagate, logger.disabled = before.propagate, before.disabled
                logger.handlers[:] = before.handlers
            else:
                logger.disabled = False
                logger.handlers[:] = [handler for handler in logger.handlers if handler is not self._forward]
        known = _known_handlers()
        known[:0] = self._handlers

    def _take_over(self, logger: logging.Logger) -> None:
        logger.handlers[:] = [self._forward]
        logger.propagate, logger.disabled = False, False
        if logger.name == "alembic" and logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)

    def _restore(self, logger: logging.Logger) -> None:
        before = self._before.get(logger.name, _Before(logger.level, logger.propagate, False, ()))
        added = [handler for handler in logger.handlers if handler not in before.handlers]
        ours = self._of_root if logger.name == "root" else self._forward
        if logger.name == "root":
            if added and ours not in added:
                # The threshold of env.py's configuration holds for the lines of its thread, not for others'.
                ours.setLevel(logger.level)
            _set_level(logger, before.level)
        elif logger.level == logging.NOTSET:
            _set_level(logger, before.level)
        logger.disabled = before.disabled
        # What the configuration would show goes to the step's log.
        logger.handlers[:] = [*before.handlers, *([ours] if added else [])]


class _Forward(logging.Handler):
    """Brings the lines of one thread to the step's log."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say
        self._thread = get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        # Loggers hand a record on to those above them: it is said once.
        if record.thread == self._thread and _SAID not in record.__dict__:
            record.__dict__[_SAID] = True
            self._say(self.format(record), record.levelno)


def _loggers() -> list[logging.Logger]:
    manager = logging.Logger.manager
    # A copy: other threads make loggers meanwhile.
    found = [logger for logger in list(manager.loggerDict.values()) if isinstance(logger, logging.Logger)]
    return [logging.getLogger(), *found]


def _state(logger: logging.Logger) -> _Before:
    return _Before(logger.level, logger.propagate, logger.disabled, tuple(logger.handlers))


def _set_level(logger: logging.Logger, level: int) -> None:
    # Setting one makes every logger there is forget what it knows.
    if logger.level != level:
        logger.setLevel(level)


def _known_handlers() -> list[Any]:
    known: list[Any] = getattr(logging, "_handlerList", [])
    return known


@contextmanager
def _printing(say: Say) -> Iterator[None]:
    """Bring what this thread prints to the step's log; other threads print as before."""
    stand_in = _Stdout(sys.stdout, say)
    sys.stdout = stand_in
    try:
        yield
    finally:
        stand_in.end()
        if sys.stdout is stand_in:
            sys.stdout = stand_in.real


class _Stdout(io.TextIOBase):
    def __init__(self, real: Any, say: Say) -> None:
        self.real = real
        self._say = say
        self._thread: int | None = get_ident()
        self._line = ""

    def write(self, text: str) -> int:
        if get_ident() != self._thread:
            return int(self.real.write(text))
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._say(line, logging.INFO)
        return len(text)

    def flush(self) -> None:
        if get_ident() != self._thread:
            self.real.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self.real.fileno())

    def isatty(self) -> bool:
        return get_ident() != self._thread and bool(self.real.isatty())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(self.real.encoding)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def end(self) -> None:
        """Say what has no end of line yet; from now on this is the real thing for every thread."""
        if self._line:
            self._say(self._line, logging.INFO)
        self._line, self._thread = "", None
