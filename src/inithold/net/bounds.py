"""Time limits and cancelling for network calls, also in libraries that support neither."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Event, Thread, Timer
from typing import Protocol, TypeVar

from inithold.errors import NotYet, StepError

Result = TypeVar("Result")
CANCEL_WITHIN = 0.4
"""Seconds that a server gets to cancel a statement before the connection is shut down."""


class Bounds(Protocol):
    """A time limit, and whether the work has been told to stop."""

    def remaining(self, most: float) -> float:
        """Seconds until the deadline, at most `most`."""

    def check_cancelled(self) -> None:
        """Raise `Interrupted` if told to stop."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        """If told to stop within the returned context, call `action` from another thread."""


class TooSlow(OSError):
    """A call exceeded its time limit."""


def within(seconds: float, bounds: Bounds, work: Callable[[], Result]) -> Result:
    """Run `work`, which cannot be interrupted, in a thread; if it takes too long, leave the thread behind.

    Args:
        seconds: the time limit.
        work: one exchange with a server that ends by itself at some point; its exceptions are raised here.

    Raises:
        Interrupted: the step was told to stop.
        TooSlow: the time is up.
    """
    bounds.check_cancelled()
    results: list[Result] = []
    errors: list[BaseException] = []
    ended = Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)
        ended.set()

    Thread(target=run, daemon=True, name="inithold-exchange").start()
    with bounds.on_cancel(ended.set):
        ended.wait(seconds)
    if errors:
        raise errors[0]
    if results:
        return results[0]
    bounds.check_cancelled()
    raise TooSlow


class Until:
    """Bounds with only a deadline, on the monotonic clock; never cancelled."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def remaining(self, most: float) -> float:
        return max(0.01, min(most, self._deadline - time.monotonic()))

    def check_cancelled(self) -> None:
        return

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:  # noqa: ARG002 - the interface
        return nullcontext()


class BoundedSocket:
    """Limits what a driver does on its socket: shutting the socket down ends every wait on it, in any thread.

    Args:
        fd: the socket; duplicated, because the driver may close its descriptor, and the number may then be reused.
        where: the server, for people.
    """

    def __init__(self, fd: int, bounds: Bounds, where: str) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self._bounds = bounds
        self._where = where

    @contextmanager
    def bounded(
        self, seconds: float | None, cancel: Callable[[], object], *, late: str = "does not answer"
    ) -> Iterator[None]:
        """Limit what is done within the `with` block.

        Args:
            seconds: when to shut the connection down; None for never.
            cancel: called if the step is told to stop; if that does not help, the connection is shut down.
            late: the message if the time is up.

        Raises:
            Interrupted: the step was told to stop.
            NotYet: the time is up.
        """
        ended, expired = Event(), Event()

        def stop() -> None:
            with suppress(Exception):  # if it fails, the connection is shut down below
                cancel()
            if not ended.wait(CANCEL_WITHIN):
                self._shut_down()

        def expire() -> None:
            expired.set()
            self._shut_down()

        self._bounds.check_cancelled()
        timer = Timer(self._bounds.remaining(seconds or 0.0), expire)
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            with self._bounds.on_cancel(stop):
                yield
        except StepError:
            raise
        except Exception as error:
            self._bounds.check_cancelled()
            if expired.is_set():
                raise NotYet(f"{self._where}: {late}") from error
            raise
        finally:
            ended.set()
            timer.cancel()

    def rebind(self, bounds: Bounds) -> None:
        """Limit it for other work from now on."""
        self._bounds = bounds

    def close(self) -> None:
        """Close the duplicate."""
        self._socket.close()

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
