"""Signals that end a run or `inithold wait`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

_SHOW_CURSOR = b"\x1b[?25h\r\n"
"""The live table hides the cursor (DECTCEM of the VT220)."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RUNNING: set[int] = set()
"""Process groups of running commands and workers; the code that starts one adds and later removes it."""
_handlers: dict[signal.Signals, Any] = {}
"""The latest handler of ours for each signal, which forked children must not keep."""
_forking = threading.local()


def kill_running() -> None:
    """Kill every running command's process group."""
    for group in tuple(RUNNING):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def handle(number: signal.Signals, handler: Callable[[int, FrameType | None], object]) -> Any:
    """Like `signal.signal`, but in forked children Python's default handler is restored, so that signals end them.

    Args:
        number: one of `ENDING`.
        handler: called in the main thread.

    Returns:
        the previous handler.
    """
    if not _handlers:
        os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_reset)
    _handlers[number] = handler
    return signal.signal(number, handler)


def _block() -> None:
    # The child would lose a signal that arrives before `_reset`.
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _reset() -> None:
    for number in ENDING:
        if number in _handlers and signal.getsignal(number) == _handlers[number]:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _unblock()


class EndingSignals:
    """In its `with` block, the first ending signal calls `callback`; a second kills running commands and exits.

    Outside the main thread, where Python cannot catch signals, this does nothing.

    Args:
        callback: called with the signal's name in the main thread, between two bytecodes; must not block.
    """

    def __init__(self, callback: Callable[[str], None] | None = None) -> None:
        self._callback = callback
        self._before: dict[signal.Signals, Any] = {}
        self.caught: signal.Signals | None = None
        self.spares_hangup = False
        """Whether SIGHUP does not end, but only sets `spared`."""
        self.spared = False

    def __enter__(self) -> EndingSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: handle(number, self._catch) for number in ENDING}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def tell(self, callback: Callable[[str], None]) -> None:
        """Set the callback; it is called at once if a signal has already come."""
        self._callback = callback
        if self.caught is not None:
            callback(self.caught.name)

    def noted(self) -> set[signal.Signals]:
        """The signals that have come so far, including the spared one."""
        return {number for number in (self.caught, signal.SIGHUP if self.spared else None) if number is not None}

    @property
    def catches(self) -> bool:
        """Whether signals are caught; false outside the main thread."""
        return bool(self._before)

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as in shells; 0 if none came."""
        return 0 if self.caught is None else 128 + self.caught

    def _catch(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the interface's
        if number == signal.SIGHUP and self.spares_hangup:
            self.spared = True
            return
        if self.caught is not None:
            # The user insists: exit without cleaning up.
            kill_running()
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
            os._exit(128 + number)
        self.caught = signal.Signals(number)
        if self._callback is not None:
            self._callback(self.caught.name)
